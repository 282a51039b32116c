package yamlfile_test

import (
	"fmt"

	"github.com/example-org/authgate/yamlfile"
)

// Every mistake is reported, with its position and a fix.
func ExampleDecode() {
	type server struct {
		Port  int      `yaml:"port"`
		Hosts []string `yaml:"hosts"`
	}
	f := yamlfile.NewFile("server.yaml")
	root, ok := f.Parse([]byte("prot: 8080\nhosts: argo-cd.example.com\n"), "write port: and hosts:")
	if ok {
		var s server
		yamlfile.Decode(root, &s, func(yamlfile.Node, any) bool { return false })
	}
	fmt.Println(f.Err())
	// Output:
	// server.yaml:1:1: unknown key "prot"; did you mean "port"?
	// server.yaml:2:8: hosts: must be a list, not a string; write [...], or one line with - for each
}
