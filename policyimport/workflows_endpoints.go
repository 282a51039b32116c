package policyimport

// workflowsPermission is what Kubernetes is asked for behind some endpoints of argo-server:
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
			"clusterworkflowtemplate.ClusterWorkflowTemplateService", "ClusterWorkflowTemplate", "ClusterWorkflowTemplates",
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
