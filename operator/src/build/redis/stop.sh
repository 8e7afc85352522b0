# Before the server of this pod is told to stop: a master hands over to a replica, and nothing that it acknowledged is lost.
#
# Writes are held back, the replicas catch up, one of the sentinels makes one of them master; then this one may go. Whoever waits
# with a write is told by the end of the connection that it did not happen. Where nobody can take over, it goes all the same.
set -u
. "${0%/*}/ask.sh"

split "$REDIS_SELF"
own_port=$port
self=$host:$port

own() { redis 127.0.0.1 "$own_port" "$@"; }
is_master() { [ "$(own role | head -n 1)" = master ]; }

# Whether every replica that is connected has told that it has all.
caught_up() {
    info=$(own info replication)
    offset=$(echo "$info" | sed -n 's/^master_repl_offset://p')
    ! echo "$info" | grep '^slave[0-9]' | grep -qv ",offset=$offset,"
}

# Whether a sentinel begins to replace the master. $silent says whether none of them answered.
fail_over() {
    silent=yes
    for member in $REDIS_MEMBERS; do
        # The one beside this server is being stopped as well.
        if [ "$member" = "$REDIS_SELF" ]; then continue; fi
        split "$member"
        answer=$(redis "$host" "$sentinel_port" sentinel failover "$REDIS_MASTER")
        if [ -n "$answer" ]; then silent=no; fi
        case $answer in OK* | *INPROG*) return 0 ;; esac
    done
    return 1
}

# The pod is given 75 s in all.
end=$(($(date +%s) + 60))
silences=0
while is_master && [ "$(date +%s)" -lt "$end" ]; do
    # Longer than all that follows; ended earlier where that fails.
    own client pause 20000 write >/dev/null
    waits=15
    until caught_up || [ "$waits" -le 0 ]; do
        waits=$((waits - 1))
        sleep 0.1
    done
    if fail_over; then
        waits=20
        while
            newest
            [ "$master" = "$self" ] && [ "$waits" -gt 0 ]
        do
            waits=$((waits - 1))
            sleep 0.3
        done
        if [ -n "$master" ] && [ "$master" != "$self" ]; then
            echo "$self has handed over to $master"
            exit 0
        fi
    fi
    own client unpause >/dev/null
    # They go together with this one, when everything is stopped.
    if [ "$silent" = yes ]; then silences=$((silences + 1)); else silences=0; fi
    if [ "$silences" -ge 2 ]; then break; fi
    sleep 1
done
if is_master; then echo "$self stops, and hands over to nobody"; fi
