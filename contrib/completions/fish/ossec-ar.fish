# fish completion of ossec-ar: the program itself says which words may follow, and which
# addresses are blocked.
function __ossec_ar_words
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    if string match -q -- '-*' $current
        set words $words $current
    end
    $words --generate-bash-completion 2>/dev/null
    if contains -- "$words[2]" list show unban
        $words[1] export 2>/dev/null
    end
end
complete -c ossec-ar -a '(__ossec_ar_words)'
