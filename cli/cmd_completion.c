#include <string.h>

#include "cli/context.h"

/* Each script asks the hidden command __complete and shows what it answers. PROGRAM stands for
 * the name the program was called by. */
static const char BASH[] =
    "# bash completion for PROGRAM\n"
    "_kitvault_complete() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} words=() word rest before breaks value help only=\n"
    "    read -ra words <<<\"$line\"\n"
    "    case $line in *[[:space:]]) words+=(\"\") ;; esac\n"
    "    word=${words[${#words[@]}-1]}\n"
    "    # bash splits words at : and =, and replaces only what stands behind the last one\n"
    "    rest=$word\n"
    "    for breaks in : = @; do\n"
    "        case $COMP_WORDBREAKS in *\"$breaks\"*) rest=${rest##*\"$breaks\"} ;; esac\n"
    "    done\n"
    "    before=${word%\"$rest\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r value help; do\n"
    "        case $value in\n"
    "        :words) only=1 ;;\n"
    "        :files) ;;\n"
    "        *) COMPREPLY+=(\"${value#\"$before\"}\") ;;\n"
    "        esac\n"
    "    done < <(\"${words[0]}\" __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
    "    [ -z \"$only\" ] || compopt +o default 2>/dev/null\n"
    "    return 0\n"
    "}\n"
    "complete -o default -F _kitvault_complete PROGRAM\n";
static const char ZSH[] =
    "#compdef PROGRAM\n"
    "_kitvault_complete() {\n"
    "    local line value\n"
    "    local -a lines found\n"
    "    lines=(\"${(@f)$(\"${words[1]}\" __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    for line in \"${lines[@]}\"; do\n"
    "        case $line in\n"
    "        :files) _files ;;\n"
    "        :words|'') ;;\n"
    "        *)\n"
    "            value=${line%%$'\\t'*}\n"
    "            found+=(\"${value//:/\\\\:}:${line#*$'\\t'}\")\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "    (( $#found == 0 )) || _describe -V PROGRAM found\n"
    "}\n"
    "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
    "    _kitvault_complete \"$@\"\n"
    "else\n"
    "    compdef _kitvault_complete PROGRAM\n"
    "fi\n";
static const char FISH[] =
    "# fish completion for PROGRAM\n"
    "function __kitvault_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    for line in (command $words[1] __complete -- $words[2..-1] 2>/dev/null)\n"
    "        switch $line\n"
    "            case :files\n"
    "                __fish_complete_path (commandline -ct)\n"
    "            case :words\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c PROGRAM -f -a '(__kitvault_complete)'\n";
static const char POWERSHELL[] =
    "# PowerShell completion for PROGRAM\n"
    "Register-ArgumentCompleter -Native -CommandName 'PROGRAM' -ScriptBlock {\n"
    "    param($word, $commandAst, $cursor)\n"
    "    $words = @($commandAst.CommandElements |\n"
    "        Where-Object { $_.Extent.StartOffset -lt $cursor } | ForEach-Object { \"$_\" })\n"
    "    $program = $words[0]\n"
    "    $words = @($words | Select-Object -Skip 1)\n"
    "    # older PowerShells do not hand over an empty word\n"
    "    $flags = @('__complete')\n"
    "    if ($word -eq '') { $flags += '--next' }\n"
    "    & $program @flags '--' @words 2>$null | Where-Object { $_ -notlike ':*' } | ForEach-Object {\n"
    "        $value, $help = $_ -split \"`t\", 2\n"
    "        if (-not $help) { $help = $value }\n"
    "        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)\n"
    "    }\n"
    "}\n";

static const struct {
    const char *shell, *script;
} SCRIPTS[] = {{"bash", BASH}, {"fish", FISH}, {"powershell", POWERSHELL}, {"zsh", ZSH}};

static void add_script(kv_buf *out, kv_sv script, const char *program)
{
    const kv_sv mark = KV_SV("PROGRAM");
    for (;;) {
        size_t at = kv_sv_find_sub(script, mark);
        kv_buf_add(out, kv_sv_sub(script, 0, at));
        if (at == SIZE_MAX) return;
        kv_buf_adds(out, program);
        script = kv_sv_from(script, at + mark.n);
    }
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)args;
    enum { SCRIPT_MAX = 16384 };
    for (size_t i = 0; i < KV_COUNT(SCRIPTS); i++) {
        if (strcmp(operand[0], SCRIPTS[i].shell) != 0) continue;
        kv_auto_buf out = KV_BUF(SCRIPT_MAX);
        add_script(&out, kv_sv_of(SCRIPTS[i].script), kv_cli_program(cli));
        KV_TRY(kv_buf_check(&out, err));
        kv_cli_put(cli, kv_buf_sv(&out));
        return KV_OK;
    }
    return kv_fail(
        err, KV_E_ARG,
        "invalid arguments: no completion for '%s' (there is bash, fish, powershell, zsh)",
        operand[0]);
}

const kv_cmd kv_cmd_completion = {
    .name = "completion",
    .operands = "SHELL",
    .summary = "print a script that completes commands in your shell",
    .about =
        "Prints the completion script for bash, fish, powershell or zsh. It completes commands and\n"
        "options, and the names of ModelKits in the local store.\n"
        "\n"
        "  bash        source <(kitvault completion bash)\n"
        "  zsh         source <(kitvault completion zsh)\n"
        "  fish        kitvault completion fish | source\n"
        "  powershell  kitvault completion powershell | Out-String | Invoke-Expression",
    .examples = "# For every shell to come\n"
                "$ completion bash > kitvault.bash\n",
    .run = run,
};
