#!/usr/bin/env bash
# tsdav (npm) as a JavaScript client: discovery, books, cards, etag conflicts, both sync methods.
. "$(dirname "$0")/common.sh"
need_npm
export CARDKEEP_NODE_ROOT=$NODE_ROOT
timeout 180 node "$HERE/tsdav_client.mjs" "$BASE" "$DAVUSER" "$DAVPASS" </dev/null
