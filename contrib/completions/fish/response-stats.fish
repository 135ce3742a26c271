# fish completion of response-stats: the program itself says which words may follow.
function __response_stats_words
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    if string match -q -- '-*' $current
        set words $words $current
    end
    $words --generate-bash-completion 2>/dev/null
end
complete -c response-stats -a '(__response_stats_words)'
complete -c response-stats.sh -a '(__response_stats_words)'
