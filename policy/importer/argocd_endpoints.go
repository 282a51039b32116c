package importer

// permission is what Argo CD asks its own rows before it answers some endpoints: may
// the person do this action on that object of the resource? The three together are
// the argument of Enforce in server/*/*.go; action and object are expressions for all
// the values that Argo CD can ask about.
type permission struct {
	resource, action, object string

	// setting names a setting of argocd-cm on which it depends whether Argo CD asks for
	// this permission at all there; a ! turns it round.
	setting string

	// endpoints lists "METHODS PATH". {name} stands for the object where the path holds its
	// name, {app} where it holds the last part of it; both become * where a row speaks
	// of more than one.
	endpoints []string
}

// Expressions for what Argo CD asks about.
const (
	kubeName = `[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?`

	appObject     = kubeName + `/(?:` + kubeName + `/)?` + kubeName // PROJECT/NAME or PROJECT/NAMESPACE/NAME
	projectObject = kubeName
	urlObject     = `[^\x00-\x20]+`  // a URL, or PROJECT/URL
	accountObject = `[-_A-Za-z0-9]*` // a key of argocd-cm, after accounts. and without dots
	nameObject    = `[-_A-Za-z0-9]+`
	noObject      = ``

	groupAndKind = `[-a-z0-9.]*/[A-Za-z0-9]+`
	oneResource  = `/` + groupAndKind + `/[-a-z0-9.]*/[-A-Za-z0-9._:]+` // GROUP/KIND/NAMESPACE/NAME
	oneAction    = `/` + groupAndKind + `/[^/\x00-\x20]+`               // GROUP/KIND/ACTION
)

// Settings of argocd-cm that change what Argo CD asks for.
const (
	rollbackSetting = "server.rbac.rollback.enforce.enable"
	inheritSetting  = "server.rbac.disableApplicationFineGrainedRBACInheritance"

	ownRollback = "rollback" // a rollback needs that action, and not sync
	wideUpdate  = "wide"     // update and delete reach the resources of an application, too
)

// argocdTable has every endpoint of Argo CD that asks for a permission. For some of
// them Argo CD asks for get on the application first; one role of a person may give
// that and another one this, so it is left to Argo CD.
var argocdTable = []permission{
	{"applications", "get", appObject, "", []string{
		"GET /api/v1/applications/{app}",
		"GET /api/v1/applications/{app}/events",
		"GET /api/v1/applications/{app}/links",
		"GET /api/v1/applications/{app}/managed-resources",
		"GET /api/v1/applications/{app}/manifests",
		"GET /api/v1/applications/{app}/resource",
		"GET /api/v1/applications/{app}/resource-tree",
		"GET /api/v1/applications/{app}/resource/actions",
		"GET /api/v1/applications/{app}/resource/links",
		"GET /api/v1/applications/{app}/revisions/**",
		"GET /api/v1/applications/{app}/server-side-diff",
		"GET /api/v1/applications/{app}/syncwindows",
		"POST /api/v1/applications/manifestsWithFiles",
		"GET /api/v1/stream/applications/{app}/resource-tree",
		"POST /api/v1/repositories/*/appdetails",
		"POST /application.ApplicationService/Get*",
		"POST /application.ApplicationService/ListLinks",
		"POST /application.ApplicationService/ListResource*",
		"POST /application.ApplicationService/ManagedResources",
		"POST /application.ApplicationService/ResourceTree",
		"POST /application.ApplicationService/Revision*",
		"POST /application.ApplicationService/ServerSideDiff",
		"POST /application.ApplicationService/WatchResourceTree",
		"POST /repository.RepositoryService/GetAppDetails",
	}},
	{"logs", "get", appObject, "", []string{
		"GET /api/v1/applications/{app}/logs",
		"GET /api/v1/applications/{app}/pods/*/logs",
		"POST /application.ApplicationService/PodLogs",
	}},
	{"applications", "create", appObject, "", []string{
		"POST /api/v1/applications",
		"GET /api/v1/repositories/*/apps",
		"POST /application.ApplicationService/Create",
		"POST /repository.RepositoryService/ListApps",
	}},
	{"applications", "update", appObject, "", []string{
		"PUT|PATCH /api/v1/applications/{app}",
		"PUT /api/v1/applications/{app}/spec",
		"GET /api/v1/repositories/*/apps",
		"POST /application.ApplicationService/Patch",
		"POST /application.ApplicationService/Update",
		"POST /application.ApplicationService/UpdateSpec",
		"POST /repository.RepositoryService/ListApps",
	}},
	{"applications", "update" + oneResource, appObject, "", patchResource},
	{"applications", "update", appObject, wideUpdate, patchResource},
	{"applications", "delete", appObject, "", []string{
		"DELETE /api/v1/applications/{app}",
		"POST /application.ApplicationService/Delete",
	}},
	{"applications", "delete" + oneResource, appObject, "", deleteResource},
	{"applications", "delete", appObject, wideUpdate, deleteResource},
	{"applications", "sync", appObject, "", []string{
		"POST /api/v1/applications/{app}/sync",
		"DELETE /api/v1/applications/{app}/operation",
		"POST /application.ApplicationService/Sync",
		"POST /application.ApplicationService/TerminateOperation",
	}},
	{"applications", "sync", appObject, "!" + ownRollback, rollBack},
	{"applications", "rollback", appObject, ownRollback, rollBack},
	{"applications", "rollback", appObject, "!" + ownRollback, nil},
	{"applications", "override", appObject, "", nil}, // asked after sync, when the request brings manifests
	{"applications", "action" + oneAction, appObject, "", []string{
		"POST /api/v1/applications/{app}/resource/actions",
		"POST /api/v1/applications/{app}/resource/actions/v2",
		"POST /application.ApplicationService/RunResourceAction*",
	}},
	{"exec", "create", appObject, "", []string{"GET /terminal"}},
	{"extensions", "invoke", nameObject, "", []string{"* /extensions/{name}/**"}},

	{"applicationsets", "get", appObject, "", []string{
		"GET /api/v1/applicationsets/{app}",
		"GET /api/v1/applicationsets/{app}/events",
		"GET /api/v1/applicationsets/{app}/resource-tree",
		"POST /applicationset.ApplicationSetService/Get",
		"POST /applicationset.ApplicationSetService/ListResourceEvents",
		"POST /applicationset.ApplicationSetService/ResourceTree",
	}},
	{"applicationsets", "create", appObject, "", []string{
		"POST /api/v1/applicationsets",
		"POST /api/v1/applicationsets/generate",
		"POST /applicationset.ApplicationSetService/Create",
		"POST /applicationset.ApplicationSetService/Generate",
	}},
	{"applicationsets", "update", appObject, "", nil}, // asked after create, for one that exists
	{"applicationsets", "delete", appObject, "", []string{
		"DELETE /api/v1/applicationsets/{app}",
		"POST /applicationset.ApplicationSetService/Delete",
	}},

	{"projects", "get", projectObject, "", []string{
		"GET /api/v1/projects/{name}",
		"GET /api/v1/projects/{name}/detailed",
		"GET /api/v1/projects/{name}/events",
		"GET /api/v1/projects/{name}/globalprojects",
		"GET /api/v1/projects/{name}/links",
		"GET /api/v1/projects/{name}/syncwindows",
		"POST /project.ProjectService/Get*",
		"POST /project.ProjectService/ListEvents",
		"POST /project.ProjectService/ListLinks",
	}},
	{"projects", "create", projectObject, "", []string{
		"POST /api/v1/projects",
		"POST /project.ProjectService/Create",
	}},
	{"projects", "update", projectObject, "", []string{
		"PUT /api/v1/projects/{name}",
		"POST /api/v1/projects/{name}/roles/*/token",
		"DELETE /api/v1/projects/{name}/roles/*/token/*",
		"POST /project.ProjectService/Update",
		"POST /project.ProjectService/CreateToken",
		"POST /project.ProjectService/DeleteToken",
	}},
	{"projects", "delete", projectObject, "", []string{
		"DELETE /api/v1/projects/{name}",
		"POST /project.ProjectService/Delete",
	}},

	{"clusters", "get", urlObject, "", []string{
		"GET /api/v1/clusters/*",
		"POST /cluster.ClusterService/Get",
	}},
	{"clusters", "create", urlObject, "", []string{
		"POST /api/v1/clusters",
		"POST /cluster.ClusterService/Create",
	}},
	{"clusters", "update", urlObject, "", []string{
		"PUT /api/v1/clusters/*",
		"POST /api/v1/clusters/*/rotate-auth",
		"POST /api/v1/clusters/*/invalidate-cache",
		"POST /cluster.ClusterService/Update",
		"POST /cluster.ClusterService/RotateAuth",
		"POST /cluster.ClusterService/InvalidateCache",
	}},
	{"clusters", "delete", urlObject, "", []string{
		"DELETE /api/v1/clusters/*",
		"POST /cluster.ClusterService/Delete",
	}},

	{"repositories", "get", urlObject, "", []string{
		"GET /api/v1/repositories/*",
		"GET /api/v1/repositories/*/helmcharts",
		"GET /api/v1/repositories/*/oci-tags",
		"GET /api/v1/repositories/*/refs",
		"POST /repository.RepositoryService/Get",
		"POST /repository.RepositoryService/GetHelmCharts",
		"POST /repository.RepositoryService/ListOCITags",
		"POST /repository.RepositoryService/ListRefs",
	}},
	{"repositories", "create", urlObject, "", []string{
		"POST /api/v1/repositories",
		"POST /api/v1/repositories/*/validate",
		"POST /api/v1/repocreds",
		"POST /repository.RepositoryService/Create",
		"POST /repository.RepositoryService/CreateRepository",
		"POST /repository.RepositoryService/ValidateAccess",
		"POST /repocreds.RepoCredsService/CreateRepositoryCredentials",
	}},
	{"repositories", "update", urlObject, "", []string{
		"PUT /api/v1/repositories/*",
		"PUT /api/v1/repocreds/*",
		"POST /repository.RepositoryService/Update",
		"POST /repository.RepositoryService/UpdateRepository",
		"POST /repocreds.RepoCredsService/UpdateRepositoryCredentials",
	}},
	{"repositories", "delete", urlObject, "", []string{
		"DELETE /api/v1/repositories/*",
		"DELETE /api/v1/repocreds/*",
		"POST /repository.RepositoryService/Delete",
		"POST /repository.RepositoryService/DeleteRepository",
		"POST /repocreds.RepoCredsService/DeleteRepositoryCredentials",
	}},
	{"write-repositories", "get", urlObject, "", []string{
		"GET /api/v1/write-repositories/*",
		"POST /repository.RepositoryService/GetWrite",
	}},
	{"write-repositories", "create", urlObject, "", []string{
		"POST /api/v1/write-repositories",
		"POST /api/v1/write-repositories/*/validate",
		"POST /api/v1/write-repocreds",
		"POST /repository.RepositoryService/CreateWriteRepository",
		"POST /repository.RepositoryService/ValidateWriteAccess",
		"POST /repocreds.RepoCredsService/CreateWriteRepositoryCredentials",
	}},
	{"write-repositories", "update", urlObject, "", []string{
		"PUT /api/v1/write-repositories/*",
		"PUT /api/v1/write-repocreds/*",
		"POST /repository.RepositoryService/UpdateWriteRepository",
		"POST /repocreds.RepoCredsService/UpdateWriteRepositoryCredentials",
	}},
	{"write-repositories", "delete", urlObject, "", []string{
		"DELETE /api/v1/write-repositories/*",
		"DELETE /api/v1/write-repocreds/*",
		"POST /repository.RepositoryService/DeleteWriteRepository",
		"POST /repocreds.RepoCredsService/DeleteWriteRepositoryCredentials",
	}},

	{"certificates", "get", noObject, "", []string{
		"GET /api/v1/certificates",
		"POST /certificate.CertificateService/ListCertificates",
	}},
	{"certificates", "create", noObject, "", []string{
		"POST /api/v1/certificates",
		"POST /certificate.CertificateService/CreateCertificate",
	}},
	{"certificates", "update", noObject, "", nil}, // asked for nowhere
	{"certificates", "delete", noObject, "", []string{
		"DELETE /api/v1/certificates",
		"POST /certificate.CertificateService/DeleteCertificate",
	}},
	{"gpgkeys", "get", noObject, "", []string{
		"GET /api/v1/gpgkeys",
		"GET /api/v1/gpgkeys/*",
		"POST /gpgkey.GPGKeyService/Get",
		"POST /gpgkey.GPGKeyService/List",
	}},
	{"gpgkeys", "create", noObject, "", []string{
		"POST /api/v1/gpgkeys",
		"POST /gpgkey.GPGKeyService/Create",
	}},
	{"gpgkeys", "delete", noObject, "", []string{
		"DELETE /api/v1/gpgkeys",
		"POST /gpgkey.GPGKeyService/Delete",
	}},
	{"accounts", "get", accountObject, "", []string{
		"GET /api/v1/account/{name}",
		"POST /account.AccountService/GetAccount",
	}},
	{"accounts", "update", accountObject, "", []string{
		"PUT /api/v1/account/password",
		"POST /api/v1/account/{name}/token",
		"DELETE /api/v1/account/{name}/token/*",
		"POST /account.AccountService/UpdatePassword",
		"POST /account.AccountService/CreateToken",
		"POST /account.AccountService/DeleteToken",
	}},
}

var (
	patchResource = []string{
		"POST /api/v1/applications/{app}/resource",
		"POST /application.ApplicationService/PatchResource",
	}
	deleteResource = []string{
		"DELETE /api/v1/applications/{app}/resource",
		"POST /application.ApplicationService/DeleteResource",
	}
	rollBack = []string{
		"POST /api/v1/applications/{app}/rollback",
		"POST /application.ApplicationService/Rollback",
	}
)

// argocdPages are open to every user whom Argo CD knows: the pages, what they ask about
// themselves, and lists, of which Argo CD gives the part that the person may see.
var argocdPages = []string{
	"GET /",
	"GET /index.html",
	"GET /*.js",
	"GET /assets/**",
	"GET /applications/**",
	"GET /applicationsets/**",
	"GET /resources/**",
	"GET /settings/**",
	"GET /user-info/**",
	"GET /help/**",
	"GET /login/**",
	"GET /swagger-ui",
	"GET /swagger.json",
	"GET /download/*",
	"GET /api/version",
	"GET /api/v1/session/userinfo",
	"GET /api/v1/settings/**",
	"GET /api/v1/notifications/**",
	"GET /api/v1/account",
	"GET /api/v1/account/can-i/**",
	"GET /api/v1/applications",
	"GET /api/v1/applicationsets",
	"GET /api/v1/stream/applications",
	"GET /api/v1/stream/applicationsets",
	"GET /api/v1/projects",
	"GET /api/v1/clusters",
	"GET /api/v1/repositories",
	"GET /api/v1/repocreds",
	"GET /api/v1/write-repositories",
	"GET /api/v1/write-repocreds",
	"POST /version.VersionService/Version",
	"POST /session.SessionService/GetUserInfo",
	"POST /cluster.SettingsService/Get*",
	"POST /notification.NotificationService/List*",
	"POST /account.AccountService/CanI",
	"POST /account.AccountService/ListAccounts",
	"POST /application.ApplicationService/List",
	"POST /application.ApplicationService/Watch",
	"POST /applicationset.ApplicationSetService/List",
	"POST /applicationset.ApplicationSetService/Watch",
	"POST /project.ProjectService/List",
	"POST /cluster.ClusterService/List",
	"POST /repository.RepositoryService/List",
	"POST /repository.RepositoryService/ListRepositories",
	"POST /repository.RepositoryService/ListWriteRepositories",
	"POST /repocreds.RepoCredsService/List*",
}

// argocdAll is the same as every row that the permissions open but those of
// extensions, in few words.
var argocdAll = []string{
	"* /api/v1/**",
	"GET /terminal",
	"POST /*Service/*",
}

// builtinRows are those that Argo CD brings (assets/builtin-policy.csv), but for the
// local account admin, who holds role:admin.
const builtinRows = `
p, role:readonly, applications, get, */*, allow
p, role:readonly, applicationsets, get, */*, allow
p, role:readonly, certificates, get, *, allow
p, role:readonly, clusters, get, *, allow
p, role:readonly, repositories, get, *, allow
p, role:readonly, write-repositories, get, *, allow
p, role:readonly, projects, get, *, allow
p, role:readonly, accounts, get, *, allow
p, role:readonly, gpgkeys, get, *, allow
p, role:readonly, logs, get, */*, allow
p, role:admin, applications, create, */*, allow
p, role:admin, applications, update, */*, allow
p, role:admin, applications, update/*, */*, allow
p, role:admin, applications, delete, */*, allow
p, role:admin, applications, delete/*, */*, allow
p, role:admin, applications, sync, */*, allow
p, role:admin, applications, rollback, */*, allow
p, role:admin, applications, override, */*, allow
p, role:admin, applications, action/*, */*, allow
p, role:admin, applicationsets, get, */*, allow
p, role:admin, applicationsets, create, */*, allow
p, role:admin, applicationsets, update, */*, allow
p, role:admin, applicationsets, delete, */*, allow
p, role:admin, certificates, create, *, allow
p, role:admin, certificates, update, *, allow
p, role:admin, certificates, delete, *, allow
p, role:admin, clusters, create, *, allow
p, role:admin, clusters, update, *, allow
p, role:admin, clusters, delete, *, allow
p, role:admin, repositories, create, *, allow
p, role:admin, repositories, update, *, allow
p, role:admin, repositories, delete, *, allow
p, role:admin, write-repositories, create, *, allow
p, role:admin, write-repositories, update, *, allow
p, role:admin, write-repositories, delete, *, allow
p, role:admin, projects, create, *, allow
p, role:admin, projects, update, *, allow
p, role:admin, projects, delete, *, allow
p, role:admin, accounts, update, *, allow
p, role:admin, gpgkeys, create, *, allow
p, role:admin, gpgkeys, delete, *, allow
p, role:admin, exec, create, */*, allow
g, role:admin, role:readonly
`
