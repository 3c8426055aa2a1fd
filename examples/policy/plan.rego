# A policy for `pvectl plan --format json`, for conftest or OPA:
#
#   pvectl plan --format json=plan.json
#   conftest test --policy examples/policy plan.json
#
# `deny` fails the test, `warn` only warns. Rules about accounts, grants and privileges alone are
# better written as [[rule]] in the state files, which `validate` and `drift` check as well. This
# file is for rules about the plan: how it changes things, and what other systems know.
package main

import rego.v1

# Every change of the plan, in any step.
changes contains change if {
	some step in input.steps
	some change in step.changes
}

# Accounts are deleted in a plan of their own, never together with other changes.
deny contains msg if {
	some change in changes
	change.action == "delete"
	startswith(change.address, "user.")
	count(changes) > 1
	others := count(changes) - 1
	msg := sprintf("%s is deleted together with %d other changes: plan it alone", [change.address, others])
}

# Privileges that lead to other people's access need the security team.
powerful := {"Permissions.Modify", "Realm.Allocate", "User.Modify"}

deny contains msg if {
	some effect in input.access.effects
	some privilege in input.access.shared.rights[effect.gains].privileges
	privilege in powerful
	msg := sprintf("%s: %s needs the security team", [effect.text, privilege])
}

# A plan too large to review.
deny contains msg if {
	input.counts.create + input.counts.update + input.counts.delete > 50
	msg := "more than 50 changes: split it, or have it approved as a migration"
}

# No step should open an exposure window, in which a principal holds more than before and after.
warn contains msg if {
	some step in input.steps
	step.window
	msg := sprintf("%s opens an exposure window", [step.changes[0].address])
}

# pvectl itself refuses plans; permitted refusals are worth a look.
warn contains msg if {
	some flag in input.passed
	msg := sprintf("allowed by --allow %s", [flag])
}
