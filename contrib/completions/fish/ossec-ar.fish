# fish completion of ossec-ar: asks the program itself.
function __ossec_ar_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c ossec-ar -f -a '(__ossec_ar_complete)'
complete -c ossec-ar -n '__fish_seen_subcommand_from import' -F
