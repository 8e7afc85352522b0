#!/bin/sh
# The command of a node: what has to be known before a RabbitMQ node may start, then the node itself.
#
# A node that has data starts at once. One that has none must not start by itself: whenever it happened not to see the others, it
# would make a cluster of its own, and the two would take messages that are never seen in the other. So join.escript finds out first
# whether it joins or is the one that makes the cluster.
set -eu

here=$(dirname "$0")
data=$RABBITMQ_MNESIA_BASE/$RABBITMQ_NODENAME
told=$RABBITMQ_CONFIG_FILES/peers.conf

# The first process of a container ignores every signal that it does not ask for.
trap 'exit 143' TERM

# Erlang will have its cookie readable by its owner alone, and a mounted Secret belongs to root.
if [ -n "${ERLANG_COOKIE_FILE:-}" ]; then
    install -m 0400 "$ERLANG_COOKIE_FILE" "$HOME/.erlang.cookie"
fi

# A node gives up at once if its own name does not resolve yet, which it does a moment after the pod has got its address.
until getent hosts "${RABBITMQ_NODENAME#*@}" >/dev/null; do sleep 0.1; done

# Erlang's port mapper, with which every node registers. It is in the background before it listens, and who is refused ends.
epmd -daemon
until epmd -names >/dev/null 2>&1; do sleep 0.1; done

mkdir -p "$RABBITMQ_CONFIG_FILES"
rm -f "$told"
several=$(grep -c . "$here/nodes") || several=0
if [ "$several" -gt 1 ] && [ ! -e "$data/schema.DAT" ] && [ ! -d "$data/msg_stores" ]; then
    # What a start that broke off has left behind holds no message, but makes the node look like one that has been in a cluster.
    rm -rf "$data" "$data-feature_flags"
    escript "$here/join.escript" "$here/nodes" "$told" &
    wait $! || exit $?
fi
if [ "$several" -gt 1 ]; then
    escript "$here/grow.escript" &
fi
exec rabbitmq-server
