package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/example-org/authgate/integration/stage"
)

// welcome prints the two files, the addresses, the test users and how to stop.
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

Choose a user on the fake GitHub page. The browser warns about its certificate, which was created
for this demo only: continue.
  alice         in team example-org:argo: role:admin, everything
  bob           in team example-org:dev: role:viewer, reads; Sync, Submit and the terminal are denied
  carol         in no team: a page with status 403 that names the teams that would be admitted
To switch users: sign out, then choose again on %[3]s

From a terminal %[4]s
                401 and JSON, never a page

Change the policy while it runs: edit %[5]s
  e.g. add      p, role:viewer, argocd, /api/v1/applications/*/sync, POST, allow
  and bob may sync. Break a line: the old policy stays, and the log says what is wrong and where.

authgate        log      %[6]s
                audit    %[7]s
                admin    %[8]s/metrics, /healthz, /readyz
Dex             log      %[9]s/dex/dex.log

Safari does not resolve names under .localhost: use another browser, or add
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
