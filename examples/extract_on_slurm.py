"""Features of many pictures by an array of Slurm jobs: `python examples/extract_on_slurm.py MODEL PICTURES STORE JOBS
[PARTITION]`. The jobs share nothing but the store's folder; killed and started again, they go on. Without Slurm they
run as processes of this machine. Needs the extra `cluster`."""

import sys
from pathlib import Path

from chiasm.probe.workers import Request, extract_here


def main(model: str, pictures: str, store: str, jobs: str, partition: str | None = None) -> None:
    import submitit

    request = Request(model, (pictures,), Path(store).absolute())
    executor = submitit.AutoExecutor(folder=f"{store}-logs")
    executor.update_parameters(timeout_min=12 * 60, cpus_per_task=8)
    if partition:
        executor.update_parameters(slurm_partition=partition, gpus_per_node=1)
    with executor.batch():
        array = [executor.submit(extract_here, request, (share, int(jobs))) for share in range(int(jobs))]
    for job in array:
        job.result()
    index = extract_here(request)  # all is there: this joins it
    assert index is not None
    print(f"features: {store}, {index['pictures'] - index['problems']} pictures")


if __name__ == "__main__":
    if not 5 <= len(sys.argv) <= 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
