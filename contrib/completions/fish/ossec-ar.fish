# fish completion of ossec-ar and of the programs that daemons call: asks the program itself. Each of its names
# has a file of its own, for fish looks for that.
function __ossec_ar_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l asked $words[2..-1]
    switch (string replace -r '.*/' '' -- $words[1]):(count $words):$words[2]
        case 'ossec-ar:*' 'response-stats*'
        case '*-notification*:2:*'
            echo add
        case '*:2:*' # all other words are ossec-ar's
            echo add\ndelete
        case '*:add'
            return
        case '*:delete' # what can be freed
            set asked[1] unban
    end
    $words[1] __complete $asked 2>/dev/null
end
for name in ossec-ar custom-firewall-drop.sh {firewall-drop,host-deny,route-null}{,.sh} \
        {disable-account,ip-customblock,email-notification,chat-notification,response-stats}{,.sh}
    complete -c $name -f -a '(__ossec_ar_complete)'
end
complete -c ossec-ar -n '__fish_seen_subcommand_from import' -F
complete -c response-stats -c response-stats.sh -F
