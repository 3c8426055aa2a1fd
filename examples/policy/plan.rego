# A policy for `pvectl plan --format json`, for conftest or OPA:
#
#   pvectl plan --format json=plan.json
#   conftest test --policy examples/policy plan.json
#
# `deny` fails the test, `warn` only says so. What can be said about accounts, grants and privileges
# alone is better a [[rule]] of the state files, which `validate` and `drift` judge as well; here
# belongs what is about the plan: how it changes things, and what other systems know.
package main

import rego.v1

# Every change of the plan, whatever step it is in.
changes contains change if {
	some step in input.steps
	some change in step.changes
}

# Accounts are deleted by a ticket of their own, never beside other changes.
deny contains msg if {
	some change in changes
	change.action == "delete"
	startswith(change.address, "user.")
	count(changes) > 1
	others := count(changes) - 1
	msg := sprintf("%s is deleted beside %d other changes: plan it alone", [change.address, others])
}

# Nobody gains what leads to other people's access, whoever grants it.
powerful := {"Permissions.Modify", "Realm.Allocate", "User.Modify"}

deny contains msg if {
	some effect in input.access.effects
	some privilege in input.access.shared.rights[effect.gains].privileges
	privilege in powerful
	msg := sprintf("%s: %s needs the security team", [effect.text, privilege])
}

# A plan that its reader cannot take in.
deny contains msg if {
	input.counts.create + input.counts.update + input.counts.delete > 50
	msg := "more than 50 changes: split it, or have it approved as a migration"
}

# No step may open a moment in which somebody holds more than before and after.
warn contains msg if {
	some step in input.steps
	step.window
	msg := sprintf("%s opens a window", [step.changes[0].address])
}

# What refuses the plan is told by pvectl itself; findings that were allowed are worth a look.
warn contains msg if {
	some flag in input.passed
	msg := sprintf("allowed by --allow %s", [flag])
}
