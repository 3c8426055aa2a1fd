"""Tables that declare no object: `[[expect]]`, `[[rule]]`, `[[removed]]`, `[[waive]]`, ..."""
