package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/example-org/authgate/integration/stage"
)

// welcome prints what a person needs to play: the two files, the addresses, who
// may do what, and how to stop.
func welcome(s *stage.Stage, out io.Writer) error {
	for _, file := range []string{s.Files.Config, s.Files.Policy} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "\n── %s\n%s\n", file, indent(string(text)))
	}
	_, err := fmt.Fprintf(out, `
Open            %[1]s     (sample Argo CD)
                %[2]s     (sample Argo Workflows, no second login)

Say who you are on fake GitHub's page. The browser will warn of its certificate, which was made
a moment ago for this demo alone: go on.
  alice         in team example-org:argo: role:admin, everything
  bob           in team example-org:dev: role:viewer, looks; Sync, Submit and the terminal are refused
  carol         in no team: a page with status 403 that says which teams would get in
To be somebody else: sign out, then choose again on %[3]s

From a terminal %[4]s
                401 and JSON, never a page

Change the rules while it runs: edit %[5]s
  e.g. add      p, role:viewer, argocd, /api/v1/applications/*/sync, POST, allow
  and let bob sync. Break a line: the old rules stay, and the log says what is wrong and where.

authgate        log      %[6]s
                audit    %[7]s
                admin    %[8]s/metrics, /healthz, /readyz
Dex             log      %[9]s/dex/dex.log

Safari does not find names under .localhost by itself: use another browser, or add
"127.0.0.1 argo-cd.localhost argo-workflows.localhost" to /etc/hosts.
Ctrl-C stops everything and removes the files.
`,
		s.ArgoCD, s.Workflows, s.GitHub.URL(),
		fmt.Sprintf("curl -i -H 'Host: %s' http://127.0.0.1:%s/api/v1/applications", stage.ArgoCDHost, port(s.ArgoCD)),
		s.Files.Policy, s.Files.Log, s.Files.Audit, s.Admin, s.Files.Dir)
	return err
}

func indent(text string) string {
	return "   " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n   ")
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }
