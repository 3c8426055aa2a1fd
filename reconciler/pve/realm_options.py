"""The options of realms and realm-sync jobs (PVE::Auth::*, PVE::Jobs::RealmSync, PVE 9).

`since`: from the git history of pve-access-control, at the version that each release shipped.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.pve.parameter_check import parse_properties
from reconciler.pve.property_strings import VANISHED, render_properties
from reconciler.pve.schema import ParameterTable, Secrecy
from reconciler.pve.sections import (
    BOOLEAN,
    STRING,
    SectionType,
    choice,
    formatted,
    integer,
    matching,
    secret,
    section_type,
    since,
    string,
)

_URI_TEXT = matching(r'^[^\x00-\x1F\x7F <>#"]*$')

SYNC_SCOPE = choice("users", "groups", "both")
SYNC_REMOVE_VANISHED = matching(VANISHED)

REALM_OPTIONS: ParameterTable = {
    "acr-values": _URI_TEXT,
    "audiences": since("9.2", _URI_TEXT),
    "autocreate": BOOLEAN,
    "base_dn": string(256),
    "bind_dn": string(256),
    "capath": STRING,
    "case-sensitive": BOOLEAN,
    "cert": STRING,
    "certkey": STRING,
    "client-id": string(256),
    "client-key": secret(Secrecy.ANSWERED, max_length=256),
    "comment": string(4096),
    "default": BOOLEAN,
    "domain": matching(r"\S+", max_length=256),
    "filter": string(2048),
    "group_classes": formatted("ldap-simple-attr-list"),
    "group_dn": string(256),
    "group_filter": string(2048),
    "group_name_attr": formatted("ldap-simple-attr", max_length=256),
    "groups-autocreate": since("8.4", BOOLEAN),
    "groups-claim": since("8.4", matching(r"[A-Za-z0-9\.\-_]+", max_length=256)),
    "groups-overwrite": since("8.4", BOOLEAN),
    "issuer-url": string(256),
    "mode": choice("ldap", "ldaps", "ldap+starttls"),
    "password": secret(Secrecy.KEPT),
    "port": integer(1, 65535),
    "prompt": matching(r"(?:none|login|consent|select_account|\S+)"),
    "query-userinfo": since("8.4", BOOLEAN),
    "scopes": STRING,
    "secure": BOOLEAN,
    "server1": formatted("address", max_length=256),
    "server2": formatted("address", max_length=256),
    "sslversion": choice("tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"),
    "sync-defaults-options": formatted("realm-sync-options"),
    "sync_attributes": matching(r"\w+=[^,]+(,\s*\w+=[^,]+)*"),
    "tfa": formatted("pve-tfa-config", max_length=128),
    "user_attr": matching(r"\S{2,}", max_length=256),
    "user_classes": formatted("ldap-simple-attr-list"),
    "username-claim": STRING,
    "verify": BOOLEAN,
}
"""The options of all types; `realm`, `type`, `check-connection`, `delete` and `digest` are not
options."""

REALM_TRUE_BY_DEFAULT: frozenset[str] = frozenset({"case-sensitive", "query-userinfo"})
"""Booleans that default to true; all others default to false."""

_LDAP = (
    "server2 bind_dn password port secure sslversion default comment tfa verify capath cert "
    "certkey filter sync_attributes user_classes group_dn group_name_attr group_filter "
    "group_classes sync-defaults-options mode case-sensitive"
)

REALM_TYPES: Mapping[str, SectionType] = {
    kind.name: kind
    for kind in (
        section_type("ad", f"server1! domain! base_dn user_attr {_LDAP}", REALM_OPTIONS),
        section_type("ldap", f"server1! base_dn! user_attr! {_LDAP}", REALM_OPTIONS),
        section_type(
            "openid",
            "issuer-url! client-id! client-key autocreate username-claim^ groups-claim "
            "groups-autocreate groups-overwrite prompt scopes acr-values audiences default "
            "comment query-userinfo",
            REALM_OPTIONS,
        ),
        section_type("pam", "default comment tfa", REALM_OPTIONS),
        section_type("pve", "default comment tfa", REALM_OPTIONS),
    )
}
BUILT_IN_REALMS: Mapping[str, str] = {
    "pam": "Linux PAM standard authentication",
    "pve": "Proxmox VE authentication server",
}
"""Always there, whatever domains.cfg contains; the comment is shown when none is set."""


def sync_defaults(text: str, *, drop_old: bool = True) -> str:
    """`sync-defaults-options` as PVE stores it: `full` and `purge` of earlier releases become
    `remove-vanished`. Without `drop_old` they are kept beside it, as in PVE's answers.

    PVE source: `map_sync_defaults_options` of PVE::API2::Domains.
    """
    found = parse_properties("realm-sync-options", text)
    if found.complaint is not None:
        return text
    options = dict(found.values)
    full, purge = options.get("full") == "1", options.get("purge") == "1"
    if "remove-vanished" not in options and (full or purge):
        removed = (["entry", "properties"] if full else []) + (["acl"] if purge else [])
        options["remove-vanished"] = ";".join(removed)
    if drop_old:
        options.pop("full", None)
        options.pop("purge", None)
    return render_properties("realm-sync-options", options)


REALM_SYNC_OPTIONS: ParameterTable = {
    "comment": string(512),
    "enable-new": BOOLEAN,
    "enabled": BOOLEAN,
    "realm": formatted("pve-realm", max_length=32),
    "remove-vanished": SYNC_REMOVE_VANISHED,
    "schedule": formatted("pve-calendar-event", max_length=128),
    "scope": SYNC_SCOPE,
}

REALM_SYNC_SECTION: SectionType = section_type(
    "realm-sync",
    "realm^! schedule! scope! comment enable-new enabled remove-vanished",
    REALM_SYNC_OPTIONS,
)
"""PUT always requires `schedule`, whatever is changed."""
