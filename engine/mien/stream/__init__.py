"""Moving pictures in and out, and the pipelines between: knows frames only, never faces."""
