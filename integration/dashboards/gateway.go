package dashboards

import (
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/protoc-gen-grpc-gateway/httprule"
	"github.com/grpc-ecosystem/grpc-gateway/runtime"
)

// gateway finds the call that a path and a method mean, by grpc-gateway v1.16.0, on
// which both servers are built: what it makes of odd paths, of forms and of
// X-HTTP-Method-Override is what they make of them.
type gateway struct{ mux *runtime.ServeMux }

func newGateway() gateway { return gateway{runtime.NewServeMux()} }

// call is what runs for a method and a path template (google.api.http). The
// parameters are the segments that the template names.
type call func(w http.ResponseWriter, r *http.Request, parameters map[string]string)

func (g gateway) handle(method, template string, c call) {
	compiler, err := httprule.Parse(template)
	if err != nil {
		panic(err) // the templates stand in this package; its tests make every gateway
	}
	t := compiler.Compile()
	// As protoc-gen-grpc-gateway writes it.
	pattern := runtime.MustPattern(runtime.NewPattern(1, t.OpCodes, t.Pool, t.Verb, runtime.AssumeColonVerbOpt(true)))
	g.mux.Handle(method, pattern, runtime.HandlerFunc(c))
}
