# Whether what listens at port $1 of this pod answers at all. Any answer will do, a refusal or LOADING too: slow is not dead.
answer=$(timeout 5 redis-cli -h 127.0.0.1 -p "$1" ping 2>&1) && [ -n "$answer" ] && exit 0
case $answer in
NOAUTH* | LOADING* | MASTERDOWN* | BUSY*) exit 0 ;;
*)
    echo "no answer within 5 s: $answer"
    exit 1
    ;;
esac
