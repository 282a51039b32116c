package policyimport

import (
	_ "embed"
	"regexp"
	"strings"
)

// What viewers may in examples/argo-cd/policy.csv: the pages and every read.
//
//go:embed argocd_viewer.csv
var argocdViewer string

// door is a path, and the methods that a right of Argo CD needs there.
type door struct{ resource, action, methods, path string }

const (
	anyMethod = "*"
	anyPath   = "/**"
)

// argocdDoors are the ways beyond those of viewers, by the right that Argo CD
// itself asks for behind them (server/*/*.go, Enforce). A row opens at most what
// Argo CD would let pass for some object; which object it is, Argo CD decides.
var argocdDoors = []door{
	{"applications", "create", "POST", "/api/v1/applications"},
	{"applications", "create", "POST", "/application.ApplicationService/Create"},
	{"applications", "update", "PUT|PATCH", "/api/v1/applications/*"},
	{"applications", "update", "PUT", "/api/v1/applications/*/spec"},
	{"applications", "update", "POST", "/api/v1/applications/*/resource"},
	{"applications", "update", "POST", "/application.ApplicationService/Update*"},
	{"applications", "update", "POST", "/application.ApplicationService/Patch*"},
	{"applications", "delete", "DELETE", "/api/v1/applications/*"},
	{"applications", "delete", "DELETE", "/api/v1/applications/*/resource"},
	{"applications", "delete", "POST", "/application.ApplicationService/Delete*"},
	{"applications", "sync", "POST", "/api/v1/applications/*/sync"},
	{"applications", "sync", "POST", "/api/v1/applications/*/rollback"},
	{"applications", "sync", "DELETE", "/api/v1/applications/*/operation"},
	{"applications", "sync", "POST", "/application.ApplicationService/Sync"},
	{"applications", "sync", "POST", "/application.ApplicationService/Rollback"},
	{"applications", "sync", "POST", "/application.ApplicationService/TerminateOperation"},
	{"applications", "rollback", "POST", "/api/v1/applications/*/rollback"},
	{"applications", "rollback", "POST", "/application.ApplicationService/Rollback"},
	{"applications", "action", "POST", "/api/v1/applications/*/resource/actions/**"},
	{"applications", "action", "POST", "/application.ApplicationService/RunResourceAction*"},
	{"applicationsets", "create", "POST", "/api/v1/applicationsets"},
	{"applicationsets", "create", "POST", "/api/v1/applicationsets/generate"},
	{"applicationsets", "create", "POST", "/applicationset.ApplicationSetService/Create"},
	{"applicationsets", "create", "POST", "/applicationset.ApplicationSetService/Generate"},
	{"applicationsets", "update", "POST", "/api/v1/applicationsets"},
	{"applicationsets", "update", "POST", "/applicationset.ApplicationSetService/Create"},
	{"applicationsets", "delete", "DELETE", "/api/v1/applicationsets/*"},
	{"applicationsets", "delete", "POST", "/applicationset.ApplicationSetService/Delete"},
	{"projects", "create", "POST", "/api/v1/projects"},
	{"projects", "create", "POST", "/project.ProjectService/Create"},
	{"projects", "update", "PUT", "/api/v1/projects/*"},
	{"projects", "update", "POST", "/api/v1/projects/*/roles/*/token"},
	{"projects", "update", "DELETE", "/api/v1/projects/*/roles/*/token/*"},
	{"projects", "update", "POST", "/project.ProjectService/Update"},
	{"projects", "update", "POST", "/project.ProjectService/*Token"},
	{"projects", "delete", "DELETE", "/api/v1/projects/*"},
	{"projects", "delete", "POST", "/project.ProjectService/Delete"},
	{"clusters", "create", "POST", "/api/v1/clusters"},
	{"clusters", "create", "POST", "/cluster.ClusterService/Create"},
	{"clusters", "update", "PUT", "/api/v1/clusters/*"},
	{"clusters", "update", "POST", "/api/v1/clusters/*/rotate-auth"},
	{"clusters", "update", "POST", "/api/v1/clusters/*/invalidate-cache"},
	{"clusters", "update", "POST", "/cluster.ClusterService/Update"},
	{"clusters", "update", "POST", "/cluster.ClusterService/RotateAuth"},
	{"clusters", "update", "POST", "/cluster.ClusterService/InvalidateCache"},
	{"clusters", "delete", "DELETE", "/api/v1/clusters/*"},
	{"clusters", "delete", "POST", "/cluster.ClusterService/Delete"},
	{"repositories", "create", "POST", "/api/v1/repositories"},
	{"repositories", "create", "POST", "/api/v1/repositories/*/validate"},
	{"repositories", "create", "POST", "/api/v1/repocreds"},
	{"repositories", "create", "POST", "/repository.RepositoryService/Create"},
	{"repositories", "create", "POST", "/repository.RepositoryService/CreateRepository"},
	{"repositories", "create", "POST", "/repocreds.RepoCredsService/CreateRepositoryCredentials"},
	{"repositories", "create", "POST", "/repository.RepositoryService/ValidateAccess"},
	{"repositories", "update", "PUT", "/api/v1/repositories/*"},
	{"repositories", "update", "PUT", "/api/v1/repocreds/*"},
	{"repositories", "update", "POST", "/repository.RepositoryService/Update"},
	{"repositories", "update", "POST", "/repository.RepositoryService/UpdateRepository"},
	{"repositories", "update", "POST", "/repocreds.RepoCredsService/UpdateRepositoryCredentials"},
	{"repositories", "delete", "DELETE", "/api/v1/repositories/*"},
	{"repositories", "delete", "DELETE", "/api/v1/repocreds/*"},
	{"repositories", "delete", "POST", "/repository.RepositoryService/Delete"},
	{"repositories", "delete", "POST", "/repository.RepositoryService/DeleteRepository"},
	{"repositories", "delete", "POST", "/repocreds.RepoCredsService/DeleteRepositoryCredentials"},
	{"write-repositories", "create", "POST", "/api/v1/write-repositories"},
	{"write-repositories", "create", "POST", "/api/v1/write-repositories/*/validate"},
	{"write-repositories", "create", "POST", "/api/v1/write-repocreds"},
	{"write-repositories", "create", "POST", "/repository.RepositoryService/CreateWriteRepository"},
	{"write-repositories", "create", "POST", "/repocreds.RepoCredsService/CreateWriteRepositoryCredentials"},
	{"write-repositories", "create", "POST", "/repository.RepositoryService/ValidateWriteAccess"},
	{"write-repositories", "update", "PUT", "/api/v1/write-repositories/*"},
	{"write-repositories", "update", "PUT", "/api/v1/write-repocreds/*"},
	{"write-repositories", "update", "POST", "/repository.RepositoryService/UpdateWriteRepository"},
	{"write-repositories", "update", "POST", "/repocreds.RepoCredsService/UpdateWriteRepositoryCredentials"},
	{"write-repositories", "delete", "DELETE", "/api/v1/write-repositories/*"},
	{"write-repositories", "delete", "DELETE", "/api/v1/write-repocreds/*"},
	{"write-repositories", "delete", "POST", "/repository.RepositoryService/DeleteWriteRepository"},
	{"write-repositories", "delete", "POST", "/repocreds.RepoCredsService/DeleteWriteRepositoryCredentials"},
	{"certificates", "create", "POST", "/api/v1/certificates"},
	{"certificates", "create", "POST", "/certificate.CertificateService/Create*"},
	{"certificates", "update", "POST", "/api/v1/certificates"},
	{"certificates", "update", "POST", "/certificate.CertificateService/Create*"},
	{"certificates", "delete", "DELETE", "/api/v1/certificates"},
	{"certificates", "delete", "POST", "/certificate.CertificateService/Delete*"},
	{"gpgkeys", "create", "POST", "/api/v1/gpgkeys"},
	{"gpgkeys", "create", "POST", "/gpgkey.GPGKeyService/Create"},
	{"gpgkeys", "delete", "DELETE", "/api/v1/gpgkeys"},
	{"gpgkeys", "delete", "POST", "/gpgkey.GPGKeyService/Delete"},
	{"accounts", "update", "PUT", "/api/v1/account/password"},
	{"accounts", "update", "POST", "/api/v1/account/*/token"},
	{"accounts", "update", "DELETE", "/api/v1/account/*/token/*"},
	{"accounts", "update", "POST", "/account.AccountService/UpdatePassword"},
	{"accounts", "update", "POST", "/account.AccountService/*Token"},
	{"exec", "create", "GET", "/terminal"},
	{"extensions", "invoke", anyMethod, "/extensions/**"},
}

// stays lists the p rows, and says which of them are not what they seem.
func (a *argoCD) stays(d *draft, names roleNames) {
	rows := a.of("p")
	if len(rows) == 0 {
		return
	}
	d.comment("These rows stay in Argo CD: they speak of its resources and objects, and no path")
	d.comment("says which object is meant. Their doors are below.")
	for _, e := range rows {
		d.comment("  %s", e.text)
	}
	d.blank()
	for _, e := range rows {
		subject := e.fields[1]
		switch odd := oddField(e.fields[1:]); {
		case odd != "":
			d.leave(e.at, "", quote(odd)+" ends in a blank, which is part of it to Argo CD, so the row most likely says nothing there"+e.in,
				"take the blank away in Argo CD if it is a slip, and import again")
		case e.fields[5] == "deny":
			d.leave(e.at, "", "a deny stays in Argo CD, where it binds one group or role at a time; a deny of authgate binds everybody who has the role, whatever else they have"+e.in,
				"leave it there; if the door is to be shut here, too, write a p row with deny")
		case e.fields[5] != "allow":
			d.leave(e.at, "", "effect "+quote(e.fields[5])+" says nothing in Argo CD"+e.in, "write allow or deny there")
		case strings.HasPrefix(subject, "proj:"), a.accounts[subject]:
			d.note(e.at, quote(subject)+" stays in Argo CD: its tokens are Argo CD's own, which authgate does not take"+e.in, "give CI a token of an issuer that authgate knows (bearer)")
		case names[subject] == "":
			d.leave(e.at, "", quote(subject)+" is named by a p row directly, and not by a role"+e.in,
				"in Argo CD give the rights to a role, and the role by g, "+subject+", role:NAME; to a group such a row says nothing without a g row that begins with it")
		case !a.regex && strings.ContainsAny(e.fields[2]+e.fields[3], `?[]{}\`):
			d.leave(e.at, "", "the pattern is too intricate to find the doors that it needs"+e.in, "add p rows by hand for what the role shall reach")
		}
	}
}

func oddField(fields []string) string {
	for _, f := range fields {
		if strings.TrimRight(f, " \t") != f {
			return f
		}
	}
	return ""
}

// doors opens to each role what it needs to use its rights. What nobody holds, and
// what another row opens anyway, finish takes out again.
func (a *argoCD) doors(d *draft, names roleNames) {
	viewer := unused(rolePrefix+"argocd-viewer", names)
	d.comment("Doors: what Argo CD lets each role do some of.")
	d.blank()
	d.make("p", adminRole, a.upstream, anyPath, anyMethod, "allow")
	d.make("g", readonlyRole, viewer)
	for _, e := range a.of("p") {
		role := names[e.fields[1]]
		if role == "" || e.fields[5] != "allow" || oddField(e.fields[1:]) != "" {
			continue
		}
		resource, action := a.matcher(e.fields[2]), a.matcher(e.fields[3])
		if resource == nil || action == nil {
			continue
		}
		if e.fields[2] == "*" && e.fields[3] == "*" {
			d.make("p", role, a.upstream, anyPath, anyMethod, "allow")
			continue
		}
		d.make("g", role, viewer)
		for _, o := range argocdDoors {
			if resource(o.resource) && action(o.action) {
				d.make("p", role, a.upstream, o.path, o.methods, "allow")
			}
		}
	}
	d.blank()
	d.comment("The pages and every read, logs among it; no shell.")
	for row := range strings.Lines(argocdViewer) {
		fields := strings.Split(strings.TrimSpace(row), ", ")
		d.make("p", viewer, a.upstream, fields[3], fields[4], fields[5])
	}
	d.blank()
	d.comment("Without a login. Take the # off what you need: the first where Argo CD serves Dex,")
	d.comment("the second where a Git host announces pushes (give Argo CD its secret).")
	d.comment("p, system:anonymous, %s, /api/dex/**, GET|POST, allow", a.upstream)
	d.comment("p, system:anonymous, %s, /api/webhook, POST, allow", a.upstream)
}

// matcher gives the pattern of a field, or nil where it is too intricate. Actions
// with a part behind a slash, such as update/apps/Deployment, need the doors of
// the whole action.
func (a *argoCD) matcher(pattern string) func(string) bool {
	if a.regex { // unanchored, as casbin's RegexMatch has it
		expression, err := regexp.Compile(pattern)
		if err != nil {
			return nil
		}
		return func(word string) bool { return expression.MatchString(word) || expression.MatchString(word+"/a/b/c") }
	}
	if strings.ContainsAny(pattern, `?[]{}\`) {
		return nil
	}
	pattern, _, _ = strings.Cut(pattern, "/")
	literal := strings.Split(pattern, "*")
	for i, part := range literal {
		literal[i] = regexp.QuoteMeta(part)
	}
	expression := regexp.MustCompile("^" + strings.Join(literal, ".*") + "$")
	return expression.MatchString
}

// unused finds a name that no role has yet.
func unused(name string, names roleNames) string {
	for _, taken := range names {
		if taken == name {
			return unused(name+"-door", names)
		}
	}
	return name
}
