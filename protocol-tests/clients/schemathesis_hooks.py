"""Leads the requests that Schemathesis makes to things that are there, since a made-up id finds nothing.

Nothing is left out but what would end the run: changing or removing the account and the token that it
runs with.
"""

import json
import os
import random
import urllib.request

import schemathesis

BASE = os.environ["FUZZ_BASE"] + "/api/v1"
USER = os.environ["FUZZ_USER"]
TOKEN = os.environ["FUZZ_TOKEN"]
DICE = random.Random(int(os.environ.get("FUZZ_SEED", "1")))


def ask(method, path, body=None):
    request = urllib.request.Request(BASE + path, method=method)
    request.add_header("Authorization", "Bearer " + TOKEN)
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    with urllib.request.urlopen(request, data, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def fill():
    """Some of everything."""
    contacts = []
    for n in range(40):
        org = n % 5 == 4
        contact = {
            "kind": "org" if org else "individual",
            "stage": "lead" if n % 5 == 3 else "contact",
            "name": {"formatted": f"Company {n}"} if org else {"given": "Ann", "family": f"Example{n % 7}"},
            "organization": {"name": f"Company {n % 3}"},
            "emails": [{"value": f"ann{n % 9}@example.org", "types": ["work"]}],
            "phones": [{"value": f"+4930{1000 + n % 9}"}],
        }
        contacts.append(ask("POST", "/contacts", contact)["number"])
    people = []
    for n in range(4):
        people.append(ask("POST", "/users", {"name": f"fuzzed{n}"})["name"])
        ask("POST", "/tokens", {"kind": "api", "user": people[-1]})
    ask("POST", "/groups", {"name": "fuzzies", "members": people})
    for name in ("first", "second"):
        ask("POST", "/books", {"name": name})
        ask("POST", "/books", {"name": name, "kind": "shared", "owner": "group:fuzzies"})
    for kind in ("text", "number", "date", "choice", "multi-choice", "yes-no", "link"):
        options = {"options": ["a", "b"]} if "choice" in kind else {}
        ask("POST", "/fields", {"key": kind.replace("-", "_"), "type": kind, "label": kind, **options})
    words = ["gold", "silver", "bronze"]
    for word in words:
        ask("POST", "/service-levels", {"key": word, "label": word})
        ask("POST", "/roles", {"key": word, "label": word})
    filters = [ask("POST", "/filters", {"name": f"f{n}", "filter": 'kind eq "org"'})["id"] for n in range(4)]
    return contacts, people, words, filters


CONTACTS, PEOPLE, WORDS, FILTERS = fill()
BOOKS = [f"{USER}/contacts", f"{USER}/first", f"{USER}/second", "group:fuzzies/first"]
SOME_FILTERS = [
    'kind eq "org"', 'emails.value co "example"', "not (stage eq \"lead\") and roles pr", "created_at gt \"2020-01-01\"",
    'custom.number gt 3 or note sw "x"', 'reports_to eq "CON1"', f'book eq "{USER}/contacts"', "emails[value co \"a\"]",
]
OWN_TOKENS = {token["id"] for token in ask("GET", "/tokens?limit=1000")["items"] if token["user"] == USER}


def tokens():
    return [token["id"] for token in ask("GET", "/tokens?limit=1000")["items"] if token["id"] not in OWN_TOKENS]


TOKENS = tokens()


def place(path, parameters):
    """Names and ids of things that are there."""
    room = path.removeprefix("/api/v1/").split("/")[0]
    pools = {
        ("contacts", "id"): CONTACTS, ("filters", "id"): FILTERS, ("tokens", "id"): TOKENS,
        ("users", "name"): PEOPLE, ("groups", "name"): ["fuzzies"], ("books", "owner"): [USER, "group:fuzzies"],
        ("books", "name"): ["contacts", "first", "second"], ("roles", "key"): WORDS, ("service-levels", "key"): WORDS,
        ("fields", "key"): ["text", "number", "date", "choice", "multi_choice", "yes_no", "link"],
    }
    for name in parameters:
        pool = pools.get((room, name))
        if pool and DICE.random() < 0.8:
            parameters[name] = DICE.choice(pool)
    return room


def body(case, value):
    """A body with the right kind of thing where it names one."""
    one = lambda: DICE.choice(CONTACTS)
    known = {
        "target": one, "contact": one, "company": one, "reports_to": one, "ids": lambda: [one(), one()],
        "sources": lambda: [one() for _ in range(DICE.randint(1, 3))], "book": lambda: DICE.choice(BOOKS),
        "assigned_to": lambda: DICE.choice(PEOPLE + [USER]), "user": lambda: DICE.choice(PEOPLE),
        "roles": lambda: [DICE.choice(WORDS)], "filter": lambda: DICE.choice(SOME_FILTERS),
        "stage": lambda: DICE.choice(["lead", "contact"]), "kind": lambda: DICE.choice(["individual", "org"]),
        "version": lambda: f"{DICE.randint(0, 5)}.{DICE.randint(0, 5)}",
        "field": lambda: DICE.choice(["title", "emails", "note", "custom.text", "name.given", "roles"]),
        "service_level": lambda: DICE.choice(WORDS), "birthday": lambda: "1980-02-29",
        "owner": lambda: USER, "action": lambda: DICE.choice(["update", "delete", "move", "tag"]),
    }
    if "relations" in case.path:
        known["type"] = lambda: DICE.choice(["reports_to", "report", "company", "member"])
    for name in list(value):
        if name in known and DICE.random() < 0.7:
            value[name] = known[name]()
    if "take" in value and DICE.random() < 0.5:
        value["take"] = {DICE.choice(["title", "name", "note", "emails", "custom.text", "flags", ""]): one()}
    if "owner" in value and value.get("owner") == USER and "kind" in value:
        value["kind"] = "personal"


@schemathesis.hook
def before_call(context, case, kwargs):
    parameters = case.path_parameters
    if isinstance(parameters, dict) and parameters:
        room = place(case.path, parameters)
        own = room == "users" and parameters.get("name") == USER
        own = own or room == "tokens" and parameters.get("id") in OWN_TOKENS
        if own:
            parameters["name" if room == "users" else "id"] = "nobody"
    if case.headers and DICE.random() < 0.7:
        # A made-up entity tag is always another one.
        case.headers.pop("If-Match", None)
    if case.path == "/api/v1/lookup" and isinstance(case.query, dict) and DICE.random() < 0.5:
        case.query.pop(DICE.choice(["phone", "email"]), None)
    if isinstance(case.query, dict) and "filter" in case.query and DICE.random() < 0.7:
        case.query["filter"] = DICE.choice(SOME_FILTERS)
    if isinstance(case.body, dict):
        body(case, case.body)
        # Books of the own account stay with it.
        if case.body.get("hand_over") == USER:
            del case.body["hand_over"]
