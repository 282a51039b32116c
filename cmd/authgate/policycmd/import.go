package policycmd

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/render"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy/importer"
)

// readFunc is importer.ArgoCD or importer.Workflows.
type readFunc func([]importer.Source, importer.Options) (*importer.Result, error)

var importExitCodes = cli.ExitCodes{
	0: "everything was imported",
	1: "something was not; standard error lists it",
	3: "a file cannot be read, or does not load",
}

func newPolicyImport() *cobra.Command {
	return cli.Group("import", "Convert permissions of Argo CD or Argo Workflows to a policy",
		newImportArgoCD(), newImportWorkflows())
}

func newImportArgoCD() *cobra.Command {
	var options importer.Options
	cmd := &cobra.Command{
		Use:   "argocd FILE...",
		Short: "Convert Argo CD's argocd-rbac-cm to rows",
		Long: "Convert Argo CD's ConfigMap argocd-rbac-cm and AppProjects to a policy. Use it when you\n" +
			"put authgate before an existing Argo CD. With argocd-cm, local accounts and anonymous\n" +
			"access are taken into account. The files are YAML or JSON as kubectl writes it, patches of\n" +
			"kustomize, values of Helm, the resource ArgoCD of the operator, or a bare policy.csv.\n\n" +
			"g rows, groups of projects and policy.default become g rows. p rows stay in Argo CD, which\n" +
			"still enforces them, and are listed as comments. authgate adds the rows that each role\n" +
			"needs to reach the endpoints that its Argo CD permissions use. FILE - is standard input." +
			importExitCodes.Table(),
		Example: "  authgate policy import argocd argocd-rbac-cm.yaml argocd-cm.yaml > policy.csv\n" +
			"  kubectl -n argocd get configmap,appproject -o yaml | authgate policy import argocd - > policy.csv\n" +
			"  helm template argo-cd argo/argo-cd -f values.yaml | authgate policy import argocd - > policy.csv",
	}
	cmd.Flags().StringVar(&options.Upstream, "upstream", "argocd", "`NAME` of the upstream for Argo CD")
	addImport(cmd, &options, "argocd-", importer.ArgoCD)
	return cmd
}

func newImportWorkflows() *cobra.Command {
	var options importer.Options
	cmd := &cobra.Command{
		Use:   "workflows FILE...",
		Short: "Convert annotated ServiceAccounts of Argo Workflows to rows",
		Long: "Convert the ServiceAccounts that workflows.argoproj.io/rbac-rule assigns to users, in order\n" +
			"of precedence. Use it when you put authgate before an existing Argo Workflows. The files\n" +
			"are YAML as kubectl writes it.\n\n" +
			"Each account becomes a role. A rule becomes g rows if rows can express it. What they cannot\n" +
			"express is reported, never approximated, and accounts of lower precedence follow as\n" +
			"comments. A comment above the rows holds the serviceAccounts that the upstream needs.\n" +
			"Roles, ClusterRoles and bindings in the files open the endpoints for their verbs. Without\n" +
			"them, a role may read. FILE - is standard input." +
			importExitCodes.Table(),
		Example: "  kubectl -n argo get serviceaccounts -o yaml > sa.yaml\n" +
			"  authgate policy import workflows sa.yaml > policy.csv",
	}
	cmd.Flags().StringVar(&options.Upstream, "upstream", "workflows", "`NAME` of the upstream for Argo Workflows")
	addImport(cmd, &options, "workflows-", importer.Workflows)
	cmd.Flags().StringVarP(&options.Namespace, "namespace", "n", "",
		"`NAMESPACE` in which argo-server looks for the ServiceAccount of a login")
	return cmd
}

func completeYAML(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// addImport adds what the imports have in common. The prefixes keep the roles of two
// imports apart that are joined to one policy.
func addImport(cmd *cobra.Command, options *importer.Options, prefix string, read readFunc) {
	var out cli.Output
	cmd.Args, cmd.ValidArgsFunction = cli.Arguments("FILE..."), completeYAML
	cmd.RunE = render.WithAnnotations(&out, func(cmd *cobra.Command, args []string) error {
		return importWith(cmd, &out, args, *options, read)
	})
	cmd.Flags().StringVar(&options.RolePrefix, "role-prefix", prefix,
		"`PREFIX` of the names of roles: role:PREFIXNAME; \"\" for none")
	out.AddFlag(cmd, render.GitHubFormat)
}

func importWith(
	cmd *cobra.Command, out *cli.Output, files []string, options importer.Options, read readFunc,
) error {
	options.RolePrefix = strings.TrimPrefix(options.RolePrefix, "role:")
	if err := cmp.Or(out.Check(), checkUpstreamName(options.Upstream), checkRolePrefix(options.RolePrefix)); err != nil {
		return err
	}
	if slices.Contains(files, fromStdin) && len(files) > 1 {
		return errors.New(`standard input is one text; write "-" alone`)
	}
	sources, err := importSources(cmd.InOrStdin(), files)
	if err != nil {
		return cli.LoadError(err)
	}
	result, err := read(sources, options)
	var namespaces *importer.NamespacesError
	var faults fault.Faults
	switch {
	case errors.As(err, &namespaces):
		return err
	case errors.As(err, &faults):
		return cli.LoadError(err)
	case err != nil:
		return cli.RunError(err)
	}
	answer := newImportAnswer(result)
	if err := answer.write(cmd, out, result.Policy); err != nil {
		return err
	}
	if len(result.Skipped) > 0 {
		return cli.ErrNo
	}
	return nil
}

func checkUpstreamName(name string) error {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return fmt.Errorf("--upstream is %q; write the name that the configuration gives it, of a-z, 0-9, - _ and . alone",
			name)
	}
	return nil
}

func checkRolePrefix(prefix string) error {
	if strings.Trim(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") != "" {
		return fmt.Errorf("--role-prefix is %q; write letters, digits, - _ . and : alone, such as team-", prefix)
	}
	return nil
}

// maxImport is far above what a cluster holds of ServiceAccounts.
const maxImport = 64 << 20

func importSources(stdin io.Reader, files []string) ([]importer.Source, error) {
	var sources []importer.Source
	var failures []error
	for _, name := range files {
		src, err := importSource(stdin, name)
		if err != nil {
			failures = append(failures, err)
		}
		sources = append(sources, src)
	}
	return sources, errors.Join(failures...)
}

func importSource(stdin io.Reader, name string) (importer.Source, error) {
	from := stdin
	var sibling func(string) ([]byte, error)
	if name == fromStdin {
		name = stdinName
	} else {
		folder := filepath.Dir(name)
		sibling = func(other string) ([]byte, error) { return os.ReadFile(filepath.Join(folder, other)) }
		file, err := os.Open(name)
		if err != nil {
			return importer.Source{}, fmt.Errorf("reading what is to be imported: %w", err)
		}
		defer file.Close()
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, maxImport+1))
	if err == nil && len(data) > maxImport {
		err = errors.New("it is larger than 64 MiB; leave out what is not to be imported")
	}
	if errors.Is(err, syscall.EISDIR) {
		return importer.Source{}, fmt.Errorf("%s is a directory; name the files in it, or give what kustomize makes of it: "+
			"kustomize build %s | authgate policy import ... -", name, name)
	}
	if err != nil {
		return importer.Source{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return importer.Source{Name: name, Data: data, Sibling: sibling}, nil
}

// importAnswer is the answer of `policy import`.
type importAnswer struct {
	Policy          string            `json:"policy"`           // text of a policy.csv
	Rows            int               `json:"rows"`             // in it
	Skipped         []importRemark    `json:"skipped"`          // what was not carried over
	Notes           []importRemark    `json:"changed_meaning"`  // what was, and means something else now
	ServiceAccounts []importedAccount `json:"service_accounts"` // of the upstream's identity, in their order
}

type importRemark struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"` // in bytes
	Message string `json:"message"`
	Hint    string `json:"fix"`
}

type importedAccount struct {
	Role      string `json:"role"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func newImportAnswer(r *importer.Result) importAnswer {
	answer := importAnswer{
		Policy: r.Policy, Rows: r.Rows, Skipped: newRemarks(r.Skipped), Notes: newRemarks(r.Notes),
		ServiceAccounts: []importedAccount{},
	}
	for _, a := range r.ServiceAccounts {
		answer.ServiceAccounts = append(answer.ServiceAccounts, importedAccount(a))
	}
	return answer
}

func newRemarks(faults fault.Faults) []importRemark {
	list := []importRemark{}
	for _, f := range faults {
		list = append(list, importRemark{f.File, f.Line, f.Column, f.Message, f.Hint})
	}
	return list
}

// write keeps the policy apart from what is said about it, which goes to standard
// error.
func (a importAnswer) write(cmd *cobra.Command, out *cli.Output, text string) error {
	if out.Format == cli.JSONFormat {
		return out.Render(cmd, a, nil)
	}
	if out.Format == render.GitHubFormat { // the rows would hide them, and GitHub reads this stream, too
		if err := render.Annotations(cmd.ErrOrStderr(), a.annotations()); err != nil {
			return cli.WriteError(err)
		}
		_, err := io.WriteString(cmd.OutOrStdout(), text)
		return cli.WriteError(err)
	}
	printer := cli.NewPrinter(cmd.ErrOrStderr())
	for _, r := range a.Skipped {
		printer.Line("%s", r.sentence())
	}
	for _, r := range a.Notes {
		printer.Line("%s %s", printer.Warn("note:"), r.sentence())
	}
	if len(a.Skipped) > 0 {
		printer.Line("%s", printer.Failure(cli.Plural(a.Rows, "row")+
			" written; not carried over: "+fmt.Sprint(len(a.Skipped))))
	}
	_, err := io.WriteString(cmd.OutOrStdout(), text)
	return cli.WriteError(err)
}

func (a importAnswer) annotations() []render.Annotation {
	var all []render.Annotation
	for _, r := range a.Skipped {
		all = append(all, r.annotation("error", "not carried over"))
	}
	for _, r := range a.Notes {
		all = append(all, r.annotation("notice", "means something else now"))
	}
	return all
}

func (r importRemark) annotation(level, title string) render.Annotation {
	return render.Annotation{
		Level: level, File: r.File, Line: r.Line, Column: r.Column, Title: title,
		Text: strings.TrimSuffix(r.Message+"; "+r.Hint, "; "),
	}
}

func (r importRemark) sentence() string {
	return fault.Fault{
		Position: fault.Position{File: r.File, Line: r.Line, Column: r.Column}, Message: r.Message,
		Hint: r.Hint,
	}.Error()
}
