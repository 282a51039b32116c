package importer

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"go.yaml.in/yaml/v3"
)

// kubeRole is a Role or ClusterRole: which verbs on which resources.
type kubeRole struct {
	rules []kubeRule
}

type kubeRule struct{ groups, resources, verbs []string }

// kubeAccess is what the files say of the rights of ServiceAccounts.
type kubeAccess struct {
	roles    map[string]kubeRole // by kind/namespace/name
	bindings []kubeBinding
}

type kubeBinding struct {
	at        fault.Position
	name      string
	role      string   // as in roles
	roleRef   string   // for messages
	namespace string   // "" for all
	accounts  []string // namespace/name
}

// readAccess reads Roles, ClusterRoles and their bindings.
func readAccess(objects []object) *kubeAccess {
	k := &kubeAccess{roles: map[string]kubeRole{}}
	for _, o := range objects {
		switch o.kind {
		case "Role":
			k.roles["Role/"+o.namespace+"/"+o.name] = readKubeRole(o)
		case "ClusterRole":
			k.roles["ClusterRole//"+o.name] = readKubeRole(o)
		case "RoleBinding", "ClusterRoleBinding":
			k.addBinding(o)
		}
	}
	return k
}

func readKubeRole(o object) kubeRole {
	var role kubeRole
	rules := o.field("rules")
	if rules == nil || rules.Kind != yaml.SequenceNode {
		return role
	}
	for _, item := range rules.Content {
		keys, ok := o.file.mapping("the rule", item)
		if !ok || keys["resourceNames"] != nil { // about some objects alone: no list, no create
			continue
		}
		words := func(key string) (all []string) {
			for _, line := range o.file.textList(key, keys[key]) {
				all = append(all, strings.ToLower(line.text))
			}
			return all
		}
		role.rules = append(role.rules, kubeRule{words("apiGroups"), words("resources"), words("verbs")})
	}
	return role
}

func (k *kubeAccess) addBinding(o object) {
	b := kubeBinding{at: o.file.at(o.node), name: o.name}
	if o.kind == "RoleBinding" {
		b.namespace = o.namespace
	}
	ref := o.field("roleRef")
	if ref == nil {
		return
	}
	keys, ok := o.file.mapping("roleRef", ref)
	if !ok {
		return
	}
	kind, name := value(keys["kind"]), value(keys["name"])
	b.roleRef = kind + " " + name
	b.role = "ClusterRole//" + name
	if kind == "Role" {
		b.role = "Role/" + o.namespace + "/" + name
	}
	subjects := o.field("subjects")
	if subjects == nil || subjects.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range subjects.Content {
		keys, ok := o.file.mapping("the subject", item)
		if !ok {
			continue
		}
		namespace := value(keys["namespace"])
		if namespace == "" {
			namespace = o.namespace
		}
		switch name := value(keys["name"]); value(keys["kind"]) {
		case "ServiceAccount":
			b.accounts = append(b.accounts, namespace+"/"+name)
		case "Group":
			if rest, ok := strings.CutPrefix(name, "system:serviceaccounts"); ok {
				b.accounts = append(b.accounts, strings.TrimPrefix(rest, ":")+"/*")
			}
		case "User":
			if rest, ok := strings.CutPrefix(name, "system:serviceaccount:"); ok {
				b.accounts = append(b.accounts, strings.Replace(rest, ":", "/", 1))
			}
		}
	}
	k.bindings = append(k.bindings, b)
}

func (b kubeBinding) hasSubject(namespace, name string) bool {
	return slices.ContainsFunc(b.accounts, func(a string) bool {
		return a == namespace+"/"+name || a == namespace+"/*" || a == "/*"
	})
}

// endpoints gives the endpoints that an account may use by its bindings, and the bindings
// of roles that are not among the files. Without any binding it is not known.
func (k *kubeAccess) endpoints(namespace, name string) (rows []string, missing []kubeBinding, known bool) {
	for _, b := range k.bindings {
		if !b.hasSubject(namespace, name) {
			continue
		}
		role, there := k.roles[b.role]
		if !there {
			missing = append(missing, b)
			continue
		}
		known = true
		for _, perm := range workflowsTable() {
			if !role.allows(perm) || b.namespace != "" && perm.resource == "clusterworkflowtemplates" {
				continue
			}
			for _, row := range perm.endpoints {
				rows = append(rows, inNamespace(row, b.namespace)...)
			}
		}
	}
	return rows, missing, known
}

func (r kubeRole) allows(perm workflowsPermission) bool {
	group := "argoproj.io"
	if perm.resource == "pods/log" || perm.resource == "events" {
		group = ""
	}
	return slices.ContainsFunc(r.rules, func(rule kubeRule) bool {
		return (slices.Contains(rule.groups, group) || slices.Contains(rule.groups, "*")) &&
			(slices.Contains(rule.resources, perm.resource) || slices.Contains(rule.resources, "*")) &&
			(slices.Contains(rule.verbs, "*") ||
				slices.ContainsFunc(perm.verbs, func(v string) bool { return slices.Contains(rule.verbs, v) }))
	})
}

// inNamespace gives a row for one namespace, or for all of them, where an empty last
// segment asks for all at once.
func inNamespace(row, namespace string) []string {
	if namespace != "" {
		return []string{strings.ReplaceAll(row, "{ns}", namespace)}
	}
	all := []string{strings.ReplaceAll(row, "{ns}", "*")}
	if rest, ok := strings.CutSuffix(row, "{ns}"); ok && strings.HasPrefix(row, "GET ") {
		all = append(all, rest)
	}
	return all
}

// workflowsPermission is what Kubernetes is asked for by some endpoints of argo-server:
// may the account do one of the verbs on the resource of argoproj.io?
type workflowsPermission struct {
	resource  string
	verbs     []string
	endpoints []string // "METHODS PATH"; {ns} is the namespace, * for all
}

func workflowsTable() []workflowsPermission {
	return append(crudRights(), workflowsPermissions...)
}

var workflowsPermissions = []workflowsPermission{
	{"workflows", []string{"list"}, []string{
		"GET /api/v1/workflows/{ns}",
		"GET /api/v1/archived-workflows",
		"GET /api/v1/archived-workflows-label-keys",
		"GET /api/v1/archived-workflows-label-values",
		"POST /workflow.WorkflowService/ListWorkflows",
		"POST /workflowarchive.ArchivedWorkflowService/ListArchivedWorkflow*",
	}},
	{"workflows", []string{"watch"}, []string{
		"GET /api/v1/workflow-events/{ns}",
		"POST /workflow.WorkflowService/WatchWorkflows",
	}},
	{"workflows", []string{"get"}, []string{
		"GET /api/v1/workflows/{ns}/*",
		"GET /api/v1/archived-workflows/*",
		"GET /artifacts/{ns}/**",
		"GET /input-artifacts/{ns}/**",
		"GET /artifact-files/{ns}/**",
		"POST /workflow.WorkflowService/GetWorkflow",
		"POST /workflowarchive.ArchivedWorkflowService/GetArchivedWorkflow",
	}},
	{"workflows", []string{"create"}, []string{
		"POST /api/v1/workflows/{ns}",
		"POST /api/v1/workflows/{ns}/submit",
		"PUT /api/v1/workflows/{ns}/*/resubmit",
		"PUT /api/v1/archived-workflows/*/resubmit",
		"PUT /api/v1/archived-workflows/*/retry",
		"POST /api/v1/events/{ns}/**",
		"POST /upload-artifacts/{ns}/**",
		"POST /workflow.WorkflowService/CreateWorkflow",
		"POST /workflow.WorkflowService/SubmitWorkflow",
		"POST /workflow.WorkflowService/ResubmitWorkflow",
		"POST /workflowarchive.ArchivedWorkflowService/ResubmitArchivedWorkflow",
		"POST /workflowarchive.ArchivedWorkflowService/RetryArchivedWorkflow",
		"POST /event.EventService/ReceiveEvent",
	}},
	{"workflows", []string{"update"}, []string{
		"PUT /api/v1/workflows/{ns}/*/retry",
		"PUT /api/v1/workflows/{ns}/*/resume",
		"PUT /api/v1/workflows/{ns}/*/suspend",
		"PUT /api/v1/workflows/{ns}/*/set",
		"POST /workflow.WorkflowService/RetryWorkflow",
		"POST /workflow.WorkflowService/ResumeWorkflow",
		"POST /workflow.WorkflowService/SuspendWorkflow",
		"POST /workflow.WorkflowService/SetWorkflow",
	}},
	{"workflows", []string{"update", "patch"}, []string{
		"PUT /api/v1/workflows/{ns}/*/stop",
		"POST /workflow.WorkflowService/StopWorkflow",
	}},
	{"workflows", []string{"patch"}, []string{
		"PUT /api/v1/workflows/{ns}/*/terminate",
		"POST /workflow.WorkflowService/TerminateWorkflow",
	}},
	{"workflows", []string{"delete"}, []string{
		"DELETE /api/v1/workflows/{ns}/*",
		"DELETE /api/v1/archived-workflows/*",
		"POST /workflow.WorkflowService/DeleteWorkflow",
		"POST /workflowarchive.ArchivedWorkflowService/DeleteArchivedWorkflow",
	}},
	{"pods/log", []string{"get"}, []string{
		"GET /api/v1/workflows/{ns}/*/log",
		"GET /api/v1/workflows/{ns}/*/*/log",
		"GET /api/v1/stream/event-sources/{ns}/logs",
		"GET /api/v1/stream/sensors/{ns}/logs",
		"POST /*Service/*Logs",
	}},
	{"events", []string{"watch"}, []string{
		"GET /api/v1/stream/events/{ns}",
		"POST /workflow.WorkflowService/WatchEvents",
	}},
	{"workfloweventbindings", []string{"list"}, []string{
		"GET /api/v1/workflow-event-bindings/{ns}",
		"POST /event.EventService/ListWorkflowEventBindings",
	}},
	{"cronworkflows", []string{"patch"}, []string{
		"PUT /api/v1/cron-workflows/{ns}/*/suspend",
		"PUT /api/v1/cron-workflows/{ns}/*/resume",
		"POST /cronworkflow.CronWorkflowService/SuspendCronWorkflow",
		"POST /cronworkflow.CronWorkflowService/ResumeCronWorkflow",
	}},
	{"eventsources", []string{"watch"}, []string{
		"GET /api/v1/stream/event-sources/{ns}",
		"POST /eventsource.EventSourceService/WatchEventSources",
	}},
	{"sensors", []string{"watch"}, []string{
		"GET /api/v1/stream/sensors/{ns}",
		"POST /sensor.SensorService/WatchSensors",
	}},
}

// crudRights is for the kinds that argo-server lists, gives, makes, changes and deletes
// alike.
func crudRights() []workflowsPermission {
	var all []workflowsPermission
	for _, k := range []struct{ resource, path, service, one, many string }{
		{
			"workflowtemplates", "workflow-templates/{ns}", "workflowtemplate.WorkflowTemplateService",
			"WorkflowTemplate", "WorkflowTemplates",
		},
		{
			"clusterworkflowtemplates", "cluster-workflow-templates",
			"clusterworkflowtemplate.ClusterWorkflowTemplateService", "ClusterWorkflowTemplate",
			"ClusterWorkflowTemplates",
		},
		{"cronworkflows", "cron-workflows/{ns}", "cronworkflow.CronWorkflowService", "CronWorkflow", "CronWorkflows"},
		{"eventsources", "event-sources/{ns}", "eventsource.EventSourceService", "EventSource", "EventSources"},
		{"sensors", "sensors/{ns}", "sensor.SensorService", "Sensor", "Sensors"},
	} {
		list, one, rpc := "/api/v1/"+k.path, "/api/v1/"+k.path+"/*", "POST /"+k.service+"/"
		all = append(all,
			workflowsPermission{k.resource, []string{"list"}, []string{"GET " + list, rpc + "List" + k.many}},
			workflowsPermission{k.resource, []string{"get"}, []string{"GET " + one, rpc + "Get" + k.one}},
			workflowsPermission{k.resource, []string{"create"}, []string{"POST " + list, rpc + "Create" + k.one}},
			workflowsPermission{k.resource, []string{"update"}, []string{"PUT " + one, rpc + "Update" + k.one}},
			workflowsPermission{k.resource, []string{"delete"}, []string{"DELETE " + one, rpc + "Delete" + k.one}},
		)
	}
	return all
}

// workflowsPages are open to every account: the pages, what they ask about themselves,
// and checks that change nothing.
var workflowsPages = []string{
	"GET /", "GET /index.html", "GET /*.js", "GET /*.ttf", "GET /assets/**",
	"GET /workflows/**", "GET /timeline/**", "GET /workflow-templates/**", "GET /cluster-workflow-templates/**",
	"GET /cron-workflows/**", "GET /event-flow/**", "GET /event-sources/**", "GET /sensors/**",
	"GET /workflow-event-bindings/**", "GET /plugins/**", "GET /reports/**", "GET /help/**", "GET /apidocs/**",
	"GET /userinfo/**", "GET /login/**", "GET /widgets/**",
	"GET /api/v1/info", "GET /api/v1/version", "GET /api/v1/userinfo", "POST /api/v1/tracking/event",
	"POST /api/v1/workflows/*/lint", "POST /api/v1/workflow-templates/*/lint",
	"POST /api/v1/cron-workflows/*/lint", "POST /api/v1/cluster-workflow-templates/lint",
	"POST /info.InfoService/*", "POST /*Service/Lint*",
}
