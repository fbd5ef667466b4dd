"""Yes/no and multiple-choice benchmarks: POPE, MME, MMBench, SEED-Bench, ScienceQA, and consistency over groups."""
