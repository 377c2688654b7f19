# Lines of kind, seconds, name. At the end: each kind's sum, and the ten slowest tests.
BEGIN { FS = "\t" }
{ count[$1]++; sum[$1] += $2 }
$1 == "tests" {
    for (place = ++tests; place > 1 && seconds[place - 1] < $2; place--) {
        seconds[place] = seconds[place - 1]; names[place] = names[place - 1]
    }
    seconds[place] = $2; names[place] = $3
    if (tests > 10) tests = 10
}
END {
    printf "\nwhere the time went (sums over all threads):"
    for (kind in count) printf " %s %d in %.0f s;", kind, count[kind], sum[kind]
    printf "\nslowest tests:\n"
    for (place = 1; place <= tests; place++) printf "%8.1f s  %s\n", seconds[place], names[place]
}
