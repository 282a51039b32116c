package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
)

// rawText is what cobra, pflag and strconv say by themselves.
var rawText = regexp.MustCompile(`arg\(s\)|accepts |unknown (flag|shorthand|command)|invalid argument|missing unit|strconv|required flag|` +
	`if any flags in the group|flag needs an argument|bad flag syntax|time: |parsing|parse error|Usage:`)

// Each mistake on the command line gets exit code 2, a sentence, and a hint that names
// the command in use.
func TestMistakesOnTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv(cli.ConfigVariable, "")
	if err := os.WriteFile("policy.csv", []byte("p, role:admin, argocd, /**, *, allow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"foo":                                    `authgate has no command "foo"`,
		"polcy":                                  `did you mean "policy"?`,
		"policy foo":                             `authgate policy has no command "foo"`,
		"policy matrx":                           `did you mean "matrix"?`,
		"policy import argo":                     `authgate policy import has no command "argo"`,
		"help foo":                               `authgate has no command "foo"`,
		"help policy foo":                        `authgate policy has no command "foo"`,
		"completion foo":                         `authgate completion has no command "foo"`,
		"completion bash extra":                  `takes no argument`,
		"--colour":                               `authgate has no flag --colour; did you mean "--color"?`,
		"version --color sometimes":              `--color is "sometimes"; write auto, always or never`,
		"version extra":                          `authgate version takes no argument`,
		"serve":                                  `no configuration is named; write --config FILE`,
		"serve authgate.yaml":                    `write --config authgate.yaml`,
		"serve --confg x":                        `did you mean "--config"?`,
		"serve --config":                         `--config needs a value; write --config FILE`,
		"serve --config --log-level debug":       `"--log-level" is the flag that follows it`,
		"config check authgate.yml":              `write --config authgate.yml`,
		"config schema x":                        `takes no argument`,
		"doctor":                                 `/etc/authgate/authgate.yaml`,
		"doctor --groups many":                   `--groups is "many"; write a whole number`,
		"doctor --groups 99999999999999999999":   `write a whole number`,
		"session list":                           `AUTHGATE_CONFIG`,
		"session show":                           `ID is missing`,
		"session revoke a b":                     `"b" is one argument too many`,
		"session list --user a@b.c --all":        `--user and --all cannot be combined`,
		"token --timeout 5":                      `--timeout is "5"; write a time with its unit`,
		"token --timeout -":                      `--timeout is "-"; write a time with its unit`,
		"token --device=perhaps":                 `--device is "perhaps"`,
		"token --config a --issuer b":            `--config and --issuer cannot be combined`,
		"token":                                  `no issuer is named; write --issuer URL --client-id ID, or --config FILE`,
		"keygen x":                               `takes no argument`,
		"keygen --keep x":                        `--keep is "x"; write a whole number`,
		"keygen --rotate a --stage b":            `--rotate and --stage cannot be combined`,
		"policy can":                             `METHOD and TARGET are missing; write authgate policy can`,
		"policy can GET":                         `TARGET is missing`,
		"policy can -x":                          `authgate policy can has no flag -x`,
		"policy can -policy policy.csv":          `did you mean "--policy"?`,
		"policy can policy.csv GET argocd:/":     `write --policy policy.csv`,
		"policy can --policy policy.csv --group": `--group needs a value; write --group GROUP`,
		"policy can --policy policy.csv --group --user a@b.c GET u:/":  `"--user" is the flag that follows it`,
		"policy can --policy policy.csv example-org:dev GET argocd:/":  `such as --group example-org:dev`,
		"policy can --policy policy.csv role:admin GET argocd:/":       `such as --role role:admin`,
		"policy can --policy policy.csv --anonymous --group x GET u:/": `--anonymous and --group cannot be combined`,
		"policy explain --policy policy.csv --role role:admin GET":     `TARGET is missing`,
		"policy who-can --policy policy.csv GET":                       `TARGET is missing`,
		"policy who-can --policy policy.csv GET argocd:/ x":            `"x" is one argument too many`,
		"policy matrix policy.csv":                                     `write --policy policy.csv`,
		"policy matrix":                                                `no policy is named`,
		"policy matrix --policy policy.csv -o xml":                     `--output is "xml"`,
		"policy lint --policy policy.csv --fail-on eror":               `did you mean "error"?`,
		"policy test": `no case file is named`,
		"policy test --policy policy.csv --coverage-min many cases.yaml": `--coverage-min is "many"`,
		"policy diff policy.csv":                     `NEW is missing`,
		"policy diff - -":                            `are both -`,
		"policy fmt":                                 `FILE is missing`,
		"policy import argocd":                       `FILE is missing`,
		"policy import workflows":                    `FILE is missing`,
		"policy replay --audit":                      `--audit needs a value`,
		"policy replay audit.log":                    `write --audit audit.log`,
		"policy suggest --audit x --since yesterday": `--since is "yesterday"; write a day`,
		"policy suggest --audit x --min-count few":   `--min-count is "few"; write a whole number`,
		"policy matrix --policy - --policy -":        `write --policy - once`,
		"policy matrix --policy=":                    `--policy is empty`,
		"policy matrix --config=":                    `--config is empty`,
		"policy can --policy policy.csv --=x":        `"--=x" is not a flag`,
	} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), strings.Fields(line), &stdout, &stderr)
		if code != cli.ExitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("authgate %s: exit code %d and %q, want %d and %q", line, code, stderr.String(), cli.ExitUsage, want)
		}
		if stdout.Len() > 0 {
			t.Errorf("authgate %s writes %q to standard output", line, stdout.String())
		}
		if raw := rawText.FindString(stderr.String()); raw != "" {
			t.Errorf("authgate %s: %q is not meant for users: %s", line, raw, stderr.String())
		}
		if at := strings.LastIndex(stderr.String(), "\nauthgate: `authgate"); at < 0 || !strings.Contains(stderr.String()[at:], "--help`") {
			t.Errorf("authgate %s: no hint: %s", line, stderr.String())
		}
	}
}

func TestAnAnswerThatCannotBeWrittenIsNoMistakeOnTheCommandLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.csv")
	if err := os.WriteFile(file, []byte("p, role:admin, *, /**, *, allow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"can --policy FILE --role role:admin GET u:/", "can --policy FILE --role role:admin GET u:/ -o json",
		"matrix --policy FILE", "matrix --policy FILE -o json",
		"diff FILE FILE", "diff FILE FILE -o json", "diff FILE FILE -o md",
	} {
		var stderr strings.Builder
		args := append([]string{"policy"}, strings.Fields(strings.ReplaceAll(line, "FILE", file))...)
		code := run(t.Context(), args, fullDisk{}, &stderr)
		if want := "authgate: writing the answer: no room\n"; code != cli.ExitLoadError || stderr.String() != want {
			t.Errorf("%s: exit code %d and %q, want %d and %q", line, code, stderr.String(), cli.ExitLoadError, want)
		}
	}
}

// A command that can print must not succeed where its output is lost.
func TestLostOutputIsExitCode3(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"policy.csv": "p, role:admin, argocd, /**, *, allow\ng, example-org:argo, role:admin\n",
		"untidy.csv": "p,role:admin,argocd,/**,*,allow\n",
		"cases.yaml": "cases: [{who: role:admin, allow: [GET argocd:/]}]\n",
		"audit.log":  `{"time":"2026-03-01T10:00:00Z","event":"request","method":"GET","path":"/","upstream":"argocd","sub":"d","email":"","roles":["role:admin"],"groups":["g:a"],"decision":"allow","rule":"policy.csv:1"}` + "\n",
		"rbac.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-rbac-cm}\ndata: {policy.csv: \"g, example-org:argo, role:admin\"}\n",
		"sa.yaml":    "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: argo, annotations: {workflows.argoproj.io/rbac-rule: \"'g' in groups\"}}\n",
		"keys":       "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"help", "help policy", "--help", "--version", "version", "policy can --help", "config schema", "keygen",
		"completion bash", "completion zsh", "completion fish", "completion powershell", "__complete policy can --policy policy.csv -o ",
		"policy can --policy policy.csv --role role:admin GET argocd:/",
		"policy explain --policy policy.csv --role role:admin GET argocd:/",
		"policy who-can --policy policy.csv GET argocd:/", "policy matrix --policy policy.csv -o json",
		"policy lint --policy policy.csv", "policy lint --policy policy.csv -o sarif", "policy test --policy policy.csv cases.yaml",
		"policy test --policy policy.csv -o junit cases.yaml", "policy diff policy.csv policy.csv", "policy fmt --check untidy.csv",
		"policy replay --audit audit.log --policy policy.csv", "policy suggest --audit audit.log", "policy suggest --audit audit.log --policy policy.csv",
		"policy import argocd rbac.yaml", "policy import workflows sa.yaml",
	} {
		var stderr strings.Builder
		code := run(t.Context(), strings.Split(line, " "), fullDisk{}, &stderr)
		if code != cli.ExitLoadError || strings.Count(stderr.String(), "authgate: writing the answer: no room\n") != 1 {
			t.Errorf("authgate %s: exit code %d and %q", line, code, stderr.String())
		}
	}
}

// Every command that can be run says what it does, shows an example, and ends with a table
// of its exit codes.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	table := regexp.MustCompile(`\n\nExit codes:\n  0  .+(\n  1  .+)?\n  2  .+\n  3  .+$`)
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" || len(cmd.Short) > 72 {
			t.Errorf("%s: its one line is %q", cmd.CommandPath(), cmd.Short)
		}
		if !cmd.HasSubCommands() && (!table.MatchString(cmd.Long) || cmd.Example == "" || cmd.Args == nil) {
			t.Errorf("%s lacks a text with exit codes, an example or a check of its arguments", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long) {
			if len([]rune(line)) > 115 {
				t.Errorf("%s: a line is too long: %s", cmd.CommandPath(), line)
			}
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(newRoot())
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no room") }
