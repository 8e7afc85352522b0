# Starts the server of this pod as what it is by now: the master, or a replica of whoever is.
#
# The sentinels know. A server that was master and comes back is told who has followed it, and joins as a replica: what it alone
# had is dropped. Where no sentinel answers, all pods start at once, and what this one has written down last holds.
set -eu
umask 077
# Nobody else ends the first process of a container while it waits here.
trap 'exit 143' TERM
. "${0%/*}/ask.sh"

split "$REDIS_SELF"
own_host=$host own_port=$port
self=$host:$port

# How often the sentinels are asked, twice a second, before a server that they hold for down takes up its role again. By then they
# have made another one master, or cannot.
rounds=30
until
    newest
    if [ -z "$master" ]; then master=$(remembered); fi
    if [ -z "$master" ]; then master=$(first); fi
    if [ "$master" != "$self" ]; then
        true
    elif [ "$answered" = 0 ]; then
        true
    elif [ ! -d "$REDIS_DATA/appendonlydir" ]; then
        # As an empty master it would empty its replicas.
        [ "$replicas" = 0 ]
    else
        [ "$suspected" = no ] || [ "$rounds" -le 0 ]
    fi
do
    if [ $((rounds % 20)) = 0 ]; then
        echo "$self was master until it stopped, and waits for the sentinels to make one of $replicas replicas master"
    fi
    rounds=$((rounds - 1))
    sleep 0.5
done

{
    echo "include $REDIS_SETTINGS/redis.conf"
    echo "port $own_port"
    echo "dir $REDIS_DATA"
    echo "aclfile $REDIS_SETTINGS/users.acl"
    echo "replica-announce-ip $own_host"
    echo "replica-announce-port $own_port"
    echo "masteruser replication"
    echo "masterauth $(cat "$REDIS_SETTINGS/replication-password")"
    if [ "$master" != "$self" ]; then echo "replicaof ${master%:*} ${master#*:}"; fi
} >"$REDIS_DATA/redis.conf.new"
mv "$REDIS_DATA/redis.conf.new" "$REDIS_DATA/redis.conf"

if [ "$master" = "$self" ]; then
    echo "$self starts as master ($answered sentinels asked, epoch $epoch)"
else
    echo "$self starts as replica of $master ($answered sentinels asked, epoch $epoch)"
fi
exec redis-server "$REDIS_DATA/redis.conf"
