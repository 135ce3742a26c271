# fish completion of response-stats: asks the program itself.
function __response_stats_words
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c response-stats -a '(__response_stats_words)'
complete -c response-stats.sh -a '(__response_stats_words)'
