package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/server"
)

func TestLogHasTheFormAndTheLevelAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flags logFlags
		says  string
	}{
		{logFlags{"text", "info"}, "level=INFO"},
		{logFlags{"text", "warn"}, ""},
		{logFlags{"json", "info"}, `"level":"INFO"`},
	} {
		var written bytes.Buffer
		if err := c.flags.check(); err != nil {
			t.Error(err)
		}
		server.NewLog(&written, c.flags.options()).Info("word")
		if !strings.Contains(written.String(), c.says) || (written.Len() == 0) != (c.says == "") {
			t.Errorf("%+v: %s", c.flags, &written)
		}
		if c.flags.format == cli.JSONFormat && !json.Valid(written.Bytes()) {
			t.Errorf("no JSON: %s", &written)
		}
	}
	for _, flags := range []logFlags{{"yaml", "info"}, {"text", "INFO"}, {"", "info"}, {"text", ""}} {
		if err := flags.check(); err == nil || !strings.Contains(err.Error(), "write ") {
			t.Errorf("%+v: %v", flags, err)
		}
	}
}
