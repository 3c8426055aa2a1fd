import pytest

pytest.register_assert_rewrite(
    *(f"tests.faults.{name}" for name in ("checks", "disk", "processes", "rivals", "worlds"))
)
