//go:build man

package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// NewMan writes a man page for each command: packages contain them. It is hidden,
// because a user reads them with man(1).
func NewMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "Write a man page for each command to a folder",
		Long: "Write a man page for each command to an existing folder. The date of the pages is\n" +
			"SOURCE_DATE_EPOCH (seconds since 1970), or today." + ExitCodes{0: "the pages are written"}.Table(),
		Example: "  mkdir man && authgate man man",
		Hidden:  true,
		Args:    Arguments("FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			date := time.Now()
			if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
				seconds, err := strconv.ParseInt(epoch, 10, 64)
				if err != nil {
					return fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds since 1970", epoch)
				}
				date = time.Unix(seconds, 0)
			}
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return errors.Join(fmt.Errorf("%s is not a folder: create it first", args[0]), err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return WriteError(doc.GenManTree(root, &doc.GenManHeader{
				Section: "1", Date: &date, Source: "authgate " + root.Version, Manual: "authgate",
			}, args[0]))
		},
	}
}
