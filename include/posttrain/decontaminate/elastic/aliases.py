"""Who uses which index on the server: the alias of each collection of eval sets, and the leases of the runs that are at work.

    posttrain-evals-content-<hash>           an index, named by its content: collections of the same eval texts share it
    posttrain-evals-<collection>             the alias of a collection (a recipe's name, see `collection_of`): on one index, the
                                             one that was asked for last, and only when that is complete
    posttrain-evals-in-use-<until>-<number>  a lease: a hidden alias that a run holds on the index it fills or searches; it runs
                                             out at `until`, in seconds since 1970, unless it is renewed

An index without an alias of a collection and without a lease in force is removed: by the switch of an alias, or, where a run
still searched it then, at the end of that run. Two collections never remove each other's index, nor does a switch take away
what another run is searching. A run that fails keeps its lease, so that what it has filled is there when it is started again.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from posttrain.decontaminate.elastic.connection import Cluster, Refused

log = logging.getLogger(__name__)

PREFIX = "posttrain-evals"
INDEXES = f"{PREFIX}-content-"
LEASES = f"{PREFIX}-in-use-"

LEASE_SECONDS = 3_600
"""So long after its last sign of life a run is taken for dead."""
RENEW_SECONDS = 300


def alias_of(collection: str) -> str:
    """The alias of a collection. A name that an alias cannot have, such as a folder's path, is told apart by its hash."""
    if re.fullmatch(r"[a-z0-9_.-]{1,100}", collection) and not collection.startswith(("content-", "in-use-")):
        return f"{PREFIX}-{collection}"
    plain = re.sub(r"[^a-z0-9_.-]+", "-", collection.lower()).strip("-")[-60:]
    return f"{PREFIX}-of-{plain}-{hashlib.sha256(collection.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def is_collection(alias: str) -> bool:
    return alias.startswith(f"{PREFIX}-") and not alias.startswith((INDEXES, LEASES))


def in_force(alias: str, now: float) -> bool:
    """Whether it is a lease that has not run out."""
    return alias.startswith(LEASES) and int(alias.removeprefix(LEASES).partition("-")[0]) > now


@dataclass
class Lease:
    """A run's lease on the index `name`. Threads may share it."""

    cluster: Cluster
    name: str
    alias: str = ""
    _renew: float = 0.0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def new(self) -> str:
        """The name of a lease from now on."""
        return f"{LEASES}{int(time.time()) + LEASE_SECONDS}-{secrets.token_hex(4)}"

    def taken(self, alias: str) -> None:
        self.alias, self._renew = alias, time.monotonic() + RENEW_SECONDS

    def renew(self) -> None:
        """Hold the index for longer, where the lease is some minutes old. Raises ElasticsearchUnusable."""
        with self._lock:
            if time.monotonic() < self._renew:
                return
            alias = self.new()
            self.cluster.ask(f"going on with index {self.name}", lambda: self.cluster.client.indices.update_aliases(actions=[
                hidden(self.name, alias), {"remove": {"index": self.name, "alias": self.alias, "must_exist": False}}]))
            self.taken(alias)

    def give_back(self) -> None:
        """End the lease, and remove what nobody uses any more. It is no error where the server is away: a lease runs out."""
        import elasticsearch

        client = self.cluster.client.options(request_timeout=10)
        try:
            there = indexes(client)
            there.get(self.name, set()).discard(self.alias)
            actions = removals(there)
            if not any("remove_index" in action and action["remove_index"]["index"] == self.name for action in actions):
                actions.insert(0, {"remove": {"index": self.name, "alias": self.alias, "must_exist": False}})
            client.indices.update_aliases(actions=actions)
        except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
            log.warning("the lease on index %s was not given back, it runs out in %d s: %s", self.name, LEASE_SECONDS, error)


def hidden(index: str, alias: str) -> dict[str, Any]:
    """The action that puts a lease on an index: a search of all eval indexes does not see it twice."""
    return {"add": {"index": index, "alias": alias, "is_hidden": True}}


def indexes(client: Any) -> dict[str, set[str]]:
    """Every index of ours with its aliases."""
    found = client.indices.get_alias(index=f"{INDEXES}*", expand_wildcards="all", ignore_unavailable=True, allow_no_indices=True)
    return {name: set(value["aliases"]) for name, value in found.items()}


def removals(there: dict[str, set[str]]) -> list[dict[str, Any]]:
    """The actions that remove every index that nobody uses."""
    now = time.time()
    unused = [name for name, aliases in there.items() if not any(is_collection(a) or in_force(a, now) for a in aliases)]
    return [{"remove_index": {"index": name}} for name in sorted(unused)]


def switch(cluster: Cluster, alias: str, name: str) -> None:
    """Put the alias of a collection on the index `name` alone, and remove what nobody uses any more, in one step."""
    import elasticsearch

    def step() -> list[dict[str, Any]]:
        there = indexes(cluster.client)
        others = [other for other, aliases in there.items() if other != name and alias in aliases]
        add = [] if alias in there.get(name, set()) else [{"add": {"index": name, "alias": alias}}]
        for other in others:
            there[other].discard(alias)
        gone = removals({other: aliases for other, aliases in there.items() if other != name})
        removed = {action["remove_index"]["index"] for action in gone}
        moved = [{"remove": {"index": other, "alias": alias}} for other in others if other not in removed]
        actions = [*add, *moved, *gone]
        try:
            if actions:
                cluster.client.indices.update_aliases(actions=actions)
        except elasticsearch.NotFoundError as error:  # another run switched or removed one of them in between
            raise Refused(f"the indexes changed meanwhile: {error}") from error
        return actions

    if actions := cluster.ask(f"switching alias {alias}", step):
        log.info("alias %s is on %s; removed: %s", alias, name,
                 ", ".join(action["remove_index"]["index"] for action in actions if "remove_index" in action) or "none")
