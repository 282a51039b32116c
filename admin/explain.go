package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/respond"
)

// explainPage is the form, and the answer below it.
type explainPage struct {
	frame
	question

	Upstreams []string
	Spare     []struct{} // one for each empty field for a group
	Problem   string     // what is wrong with the question
	Result    *Explanation
}

// question is what the form asks.
type question struct {
	User           string
	Groups, Roles  []string
	Anonymous      bool
	Method, Target string
}

// spareGroups is how many empty fields the form has.
const spareGroups = 3

// showExplain explains one decision. The question is in the address, so that the answer can be
// linked to.
func (h *Handler) showExplain(w http.ResponseWriter, r *http.Request, a access) {
	page := explainPage{
		frame:     frame{Title: "Explain a decision", Page: "/explain", CSRF: a.csrf()},
		Upstreams: h.Operator.Status().Upstreams, Spare: make([]struct{}, spareGroups),
	}
	status, err := http.StatusOK, error(nil)
	if page.question, err = readQuestion(r.URL.RawQuery); err != nil {
		status = http.StatusBadRequest
	} else if !page.empty() || wantsJSON(r) {
		page.Result, err = h.explain(page.question)
		status = explainStatus(err)
	}
	switch {
	case errors.Is(err, ErrExplain):
		h.Log.Error("explaining a decision on the admin port failed", "error", err)
		page.Problem = "The policy could not be explained. The log has the reason."
	case err != nil:
		page.Problem = sentence(err.Error())
	}
	switch {
	case !wantsJSON(r):
		h.writePage(w, status, "explain.html", page)
	case err != nil:
		refuse(w, respond.Refusal{Status: status, Code: "question", Detail: page.Problem})
	default:
		answer(w, page.Result.JSON)
	}
}

func explainStatus(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, ErrExplain):
		return http.StatusInternalServerError
	default:
		return http.StatusUnprocessableEntity
	}
}

func (h *Handler) explain(q question) (*Explanation, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	identity := policy.Identity{Email: q.User, Groups: q.Groups, Roles: q.Roles, Anonymous: q.Anonymous}
	found, err := h.Operator.Tools.Explain(h.Operator.Status().Policy.Snapshot, identity, q.Method, q.Target)
	if err != nil {
		return nil, err
	}
	return &found, nil
}

// readQuestion reads the query of the address. A form sends its empty fields, too.
func readQuestion(query string) (q question, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return question{}, errors.New("the query of the address is malformed")
	}
	q = question{
		User: strings.TrimSpace(values.Get("user")), Method: strings.TrimSpace(values.Get("method")),
		Target: strings.TrimSpace(values.Get("target")), Groups: filled(values["group"]), Roles: filled(values["role"]),
		Anonymous: values.Get("anonymous") == "true",
	}
	if len(values["group"])+len(values["role"]) > maxNames {
		return question{}, fmt.Errorf("more than %d groups and roles were sent", maxNames)
	}
	if anonymous := values.Get("anonymous"); anonymous != "" && anonymous != "true" {
		return q, errors.New("write anonymous=true, or leave it out")
	}
	delete(values, "group")
	delete(values, "role")
	return q, onlyOnce(values, "user", "method", "target", "anonymous")
}

// maxNames is how many groups and roles a question may have. Each makes the answer slower.
const maxNames = 200

func filled(names []string) []string {
	var all []string
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, name)
		}
	}
	return all
}

// onlyOnce says what is wrong with a query that has other keys, or one of them twice.
func onlyOnce(values url.Values, keys ...string) error {
	for key, sent := range values {
		if !slices.Contains(keys, key) {
			return fmt.Errorf("the parameter %q is not known", key)
		}
		if len(sent) > 1 {
			return fmt.Errorf("the parameter %s was sent twice", key)
		}
	}
	return nil
}

func (q question) empty() bool {
	return q.User == "" && q.Method == "" && q.Target == "" && !q.Anonymous && len(q.Groups)+len(q.Roles) == 0
}

// check says what is missing, and what is no identity.
func (q question) check() error {
	name, domain, _ := strings.Cut(q.User, "@")
	isUnsigned := q.User == "" && len(q.Groups)+len(q.Roles) == 0
	switch {
	case q.Anonymous && !isUnsigned:
		return errors.New("an anonymous request has no user, group or role; leave either out")
	case !q.Anonymous && isUnsigned:
		return errors.New("no user is named; enter an e-mail address or a group, or choose an anonymous request")
	case q.User != "" && (name == "" || domain == "" || policy.ParseSubject(q.User).Kind == policy.KindUser):
		return fmt.Errorf("%q is not an e-mail address; enter the address alone, such as eve@example.com", q.User)
	case q.Method == "":
		return errors.New("the method is missing; enter one, such as GET")
	case q.Target == "":
		return errors.New("the target is missing; enter UPSTREAM:/path, such as argocd:/applications")
	}
	for _, role := range q.Roles {
		if policy.ParseSubject(role).Kind != policy.KindRole {
			return fmt.Errorf("%q is not a role; write a name that begins with role:, such as role:admin", role)
		}
	}
	return nil
}

// sentence makes an error a sentence.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
