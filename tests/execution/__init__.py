import pytest

pytest.register_assert_rewrite(
    *(f"tests.execution.{name}" for name in ("checks", "disk", "processes", "rivals", "worlds"))
)
