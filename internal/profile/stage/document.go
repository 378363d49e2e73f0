package stage

import (
	"fmt"
	"strings"
)

// Marker separates what is written by hand in doc/profile-stages.md from
// [Document].
const Marker = "<!-- the rules, as in internal/profile/stage -->\n"

// Document is the rules as Markdown.
func Document() string {
	title := map[Stage]string{}
	for _, s := range Stages() {
		title[s.Stage] = s.Title
	}
	var b strings.Builder
	b.WriteString("## Stages, in the order in which a function is tried\n\n| stage | what | functions |\n|---|---|---|\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.stage, title[r.stage], list(r.functions))
	}
	b.WriteString("\n## Functions without a rule, by who calls them\n\n| stage | callers |\n|---|---|\n")
	for _, r := range calls {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.stage, list(r.functions))
	}
	b.WriteString("\n## Contexts\n\n| context | opened by |\n|---|---|\n")
	for _, r := range contexts {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.context, list(r.functions))
	}
	b.WriteString("\n## Functions that turn interrupts on (skid)\n\n" + list(enablers) + "\n")
	return b.String()
}

func list(functions []string) string { return "`" + strings.Join(functions, "` `") + "`" }
