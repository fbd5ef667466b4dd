"""Why points were lost, in the same kinds for every task, and what each kind costs; from a score folder alone."""

from chiasm.score.faults.costs import fault_costs
from chiasm.score.faults.fault import KINDS, Fault, FaultCost
from chiasm.score.faults.find import TASKS, find_faults

__all__ = ["KINDS", "TASKS", "Fault", "FaultCost", "fault_costs", "find_faults"]
