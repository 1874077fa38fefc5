# SPDX-License-Identifier: Apache-2.0
# fish completion of flowner(1). Keys of the configuration and of expressions are asked from flowner itself.

function __flowner_keys
    flowner print-config 2>/dev/null |
        awk '/^[a-z_]+:$/ {s = $1; sub(":", ".", s)} /^  [a-z_]+:/ {sub(":", "=", $1); print s $1}'
end

function __flowner_expression
    flowner help expression 2>/dev/null |
        awk '/^  [a-z_]+  / {k = $1; sub(/^ +[a-z_]+ +/, ""); print k (k == "loopback" ? "" : ":") "\t" $0}'
    printf '%s\n' not or
end

function __flowner_outputs
    set -l now (commandline -ct)
    if string match -q '*:*' -- $now
        set -l parts (string split -m 1 : -- $now)
        for path in (__fish_complete_path $parts[2])
            echo $parts[1]:$path
        end
    else
        printf '%s:\n' ecs ocsf pcapng sysmon text zeek zeek-json
    end
end

function __flowner_interfaces
    echo any
    path basename /sys/class/net/* 2>/dev/null
end

function __flowner_netns
    echo self
    path basename /run/netns/* 2>/dev/null
end

complete -c flowner -f
complete -c flowner -n __fish_use_subcommand -a run -d 'capture, and print or write records'
complete -c flowner -n __fish_use_subcommand -a status -d 'counters of every running flowner'
complete -c flowner -n __fish_use_subcommand -a metrics -d 'counters in the text format of Prometheus'
complete -c flowner -n __fish_use_subcommand -a doctor -d 'whether flowner can work here, and what to do'
complete -c flowner -n __fish_use_subcommand -a check-config -d 'check a configuration'
complete -c flowner -n __fish_use_subcommand -a print-config -d 'print the configuration that would be used'
complete -c flowner -n __fish_use_subcommand -a filter -d 'which packets are captured'
complete -c flowner -n __fish_use_subcommand -a fields -d 'what records hold, and its name in each format'
complete -c flowner -n __fish_use_subcommand -a tail -d 'show, filter and follow a file of records'
complete -c flowner -n __fish_use_subcommand -a help -d 'print help'
complete -c flowner -n __fish_use_subcommand -a version -d 'print the version'
complete -c flowner -n __fish_use_subcommand -s V -l version -d 'print the version'
complete -c flowner -s h -l help -d 'print help'

set -l on __fish_seen_subcommand_from
complete -c flowner -n "$on run filter" -s i -l interface -x -a '(__flowner_interfaces)' -d 'capture there only'
complete -c flowner -n "$on run" -l netns -x -a '(__flowner_netns)' -d 'capture in that network namespace'
complete -c flowner -n "$on run filter" -s r -l read -r -F -d 'read a capture file'
complete -c flowner -n "$on run" -s o -l output -x -a '(__flowner_outputs)' -d 'where records go'
complete -c flowner -n "$on run" -s d -l duration -x -a '10s 1m 10m 1h' -d 'stop after'
complete -c flowner -n "$on run" -l stats -d 'print all counters at the end'
complete -c flowner -n "$on run" -s v -l verbose -d 'say what the parts of flowner do'
complete -c flowner -n "$on run metrics doctor print-config filter" -s c -l config -r -F -d 'read settings from'
complete -c flowner -n "$on run metrics doctor print-config filter" -l set -x -a '(__flowner_keys)' -d 'change one setting'
complete -c flowner -n "$on status metrics doctor" -l runtime-dir -x -a '(__fish_complete_directories)' -d 'of this instance'
complete -c flowner -n "$on status doctor" -l json -d 'one JSON object'
complete -c flowner -n "$on metrics" -l serve -d 'stay, and answer'
complete -c flowner -n "$on metrics" -l list -d 'print all metrics there are'
complete -c flowner -n "$on filter" -s m -l mode -x -a 'handshake handshake+tls headers' -d 'of this mode'
complete -c flowner -n "$on check-config" -F
complete -c flowner -n "$on fields" -a 'ecs ocsf pcapng sysmon text zeek zeek-json'
complete -c flowner -n "$on tail" -s n -x -a '10 100 all' -d 'begin with the last records'
complete -c flowner -n "$on tail" -s f -l follow -d 'go on'
complete -c flowner -n "$on tail" -l no-follow -d 'end at the end of the file'
complete -c flowner -n "$on tail" -l raw -d 'print the lines themselves'
complete -c flowner -n "$on tail" -F -a '(__flowner_expression)'
complete -c flowner -n "$on help" -a 'run tail expression'
