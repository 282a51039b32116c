package proxy_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/config"
)

// standardTransport says that this process tests net/http's transport.
var standardTransport = os.Getenv("AUTHGATE_TEST_TRANSPORT") == string(config.TransportStandard)

// TestTheStandardTransportForwardsTheSame repeats what depends on the transport with net/http's.
func TestTheStandardTransportForwardsTheSame(t *testing.T) {
	if standardTransport {
		t.Skip("this is that process")
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	again := exec.CommandContext(ctx, os.Args[0], "-test.v", "-test.count=1", "-test.run=^("+strings.Join([]string{
		"TestABodyIsNotAskedForBeforeTheDecision",
		"TestABodyThatIsStillToComeIsNoReasonNotToRepeat",
		"TestAChangedCAOfAnUpstreamIsTrustedByTheNextConnection",
		"TestAClientThatLeavesEndsItsRequest",
		"TestAnAnswerThatBreaksOffIsSeenToBreakOff",
		"TestAnUpstreamMayDeclineABody",
		"TestBodiesAreLimited",
		"TestBodiesArriveByteForByte",
		"TestConnectionThatTheUpstreamHasClosedIsNoticed",
		"TestEachUpstreamIsSpokenToInItsOwnWay",
		"TestEitherSideMayFinishFirst",
		"TestExpectIsForwardedInOneFormAndOnlyWithABody",
		"TestFailuresOfAnUpstreamAreToldApart",
		"TestHandshakeOfAWebSocket",
		"TestOnlyAProperSwitchIsOne",
		"TestUpgradeThatTheUpstreamRefusesIsAnAnswerLikeAnyOther",
		"TestUploadsStreamInBothDirectionsAtOnce",
		"TestUpstreamIsShownACertificateAndAskedForItsName",
		"TestUpstreamThatIsSlowOrTooLoudIsAnsweredFor",
		"TestUpstreamWithAnotherCertificateGetsNothing",
		"TestWhatHTTPCanDoPassesThrough",
		"TestWhatMayHaveBeenProcessedIsRepeatedOnlyWhereThatDoesNoHarm",
		"TestWritesAreNotRepeated",
	}, "|")+")$")
	again.Env = append(os.Environ(), "AUTHGATE_TEST_TRANSPORT="+string(config.TransportStandard))
	out, err := again.CombinedOutput()
	if passed := strings.Count(string(out), "\n--- PASS: "); err != nil || passed != 23 {
		t.Errorf("%v, %d tests passed:\n%s", err, passed, out)
	}
}
