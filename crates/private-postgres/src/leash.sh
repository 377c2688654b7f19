# Runs a program, and ends it when standard input ends. The service holds the other end of standard input and never
# writes to it: it ends when the service lets go, or dies by whatever means.
#
# usage: sh -c <this> sh <folder to remove once let go, or ''> <program> <argument>...
# Prints the program's pid; its exit status is the program's. SIGINT is a fast shutdown of Postgres, SIGQUIT one at
# once, SIGKILL for one that listens to neither.
scrap=$1
shift
released=
exec 3<&0 </dev/null
"$@" 3<&- >&2 &
program=$!

# SIGINT again and again: a program that was only just started does not listen for it yet.
end() {
    released=1
    {
        tries=0
        while [ "$tries" -lt 10 ]; do
            kill -INT "$program" || exit
            sleep 1
            tries=$((tries + 1))
        done
        kill -QUIT "$program"
        sleep 5
        kill -KILL "$program"
    } 2>/dev/null &
}
trap end USR1
# Nothing but the end of standard input ends this shell: a SIGTERM to everything (as an init system may send) must not
# take Postgres from a service that still finishes its work. Set after the program's start, for it inherits what is ignored.
trap '' TERM INT HUP PIPE
(
    while read -r line; do :; done
    # Without this shell (killed alone) the program still ends.
    kill -USR1 $$ || kill -INT "$program"
) <&3 >/dev/null 2>&1 &
exec 3<&-
echo "$program"
exec >&2

# The signal that says to end also ends `wait`: then wait again.
while :; do
    wait "$program"
    status=$?
    kill -0 "$program" 2>/dev/null || break
done

# The helpers above, which are in our process group. What is left of Postgres is not: each process has its own.
trap '' USR2
kill -USR2 0
if [ -n "$released" ] && [ -n "$scrap" ]; then rm -rf "$scrap"; fi
exit "$status"
