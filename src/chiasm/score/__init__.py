"""Pure functions from answers, boxes and names to numbers with intervals. numpy only, never torch."""
