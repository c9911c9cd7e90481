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

__all__ = [
    "ITEMS",
    "demo_model_directory",
    "demo_task_chance",
    "demo_task_descriptions",
    "demo_task_names",
    "load_demo_task",
]
