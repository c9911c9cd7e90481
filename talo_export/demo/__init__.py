"""Works offline: a small trained vision-language model in a stock architecture, and its tasks.

The model is trained by `examples/demo_model/`; nothing here needs torch.
"""

from talo_export.demo.bundled import (
    ITEMS,
    demo_model_directory,
    demo_task_chance,
    demo_task_descriptions,
    demo_task_names,
    load_demo_task,
)

DEMO = "demo"
"""What the model is called, and the collection of its tasks."""

__all__ = [
    "DEMO",
    "ITEMS",
    "demo_model_directory",
    "demo_task_chance",
    "demo_task_descriptions",
    "demo_task_names",
    "load_demo_task",
]
