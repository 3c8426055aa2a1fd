"""`explain`, `who-can` and `escalation`: the question, where it is asked, the answer."""
