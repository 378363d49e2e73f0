package result

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stackmeter/stackmeter/internal/trial"
)

var update = flag.Bool("update", false, "write the generated part of doc/result-format.md")

const document = "../../doc/result-format.md"

// The document's tables are those that the structs and their comments give.
func TestFormatDocument(t *testing.T) {
	comments := map[string]string{}
	for _, dir := range []string{".", "../trial"} {
		fieldComments(t, dir, comments)
	}
	var sb strings.Builder
	for _, s := range []struct {
		title string
		typ   reflect.Type
	}{
		{"A line of trials.jsonl", reflect.TypeFor[trial.Trial]()},
		{"manifest.json", reflect.TypeFor[Manifest]()},
	} {
		fmt.Fprintf(&sb, "\n## %s\n\n| field | JSON type | | meaning |\n|---|---|---|---|\n", s.title)
		rows(t, &sb, "", s.typ, comments)
	}
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(raw), "<!-- generated -->\n")
	have, foot, ok2 := strings.Cut(rest, "\n<!-- end -->")
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks of its generated part", document)
	}
	if *update {
		text := head + "<!-- generated -->\n" + sb.String() + "\n<!-- end -->" + foot
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != sb.String() {
		t.Errorf("%s differs from the structs: run go test ./internal/result -run TestFormatDocument -update", document)
	}
}

func rows(t *testing.T, sb *strings.Builder, prefix string, typ reflect.Type, comments map[string]string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag := f.Tag.Get("json")
		name, opts, _ := strings.Cut(tag, ",")
		if name == "" || name == "-" {
			t.Errorf("%s.%s has no JSON name", typ, f.Name)
		}
		absent := ""
		if strings.Contains(opts, "omitempty") {
			absent = "may be absent"
		}
		path := prefix + name
		kind, inner, suffix := jsonType(f.Type)
		fmt.Fprintf(sb, "| `%s` | %s | %s | %s |\n", path, kind, absent, comments[typ.Name()+"."+f.Name])
		if inner != nil {
			rows(t, sb, path+suffix+".", inner, comments)
		}
	}
}

func jsonType(typ reflect.Type) (kind string, inner reflect.Type, suffix string) {
	switch {
	case typ.String() == "time.Time":
		return "string, RFC 3339", nil, ""
	case typ.String() == "json.RawMessage":
		return "any", nil, ""
	}
	switch typ.Kind() {
	case reflect.String:
		return "string", nil, ""
	case reflect.Bool:
		return "boolean", nil, ""
	case reflect.Float32, reflect.Float64:
		return "number", nil, ""
	case reflect.Slice:
		k, in, s := jsonType(typ.Elem())
		return "array of " + k, in, "[]" + s
	case reflect.Map:
		k, in, s := jsonType(typ.Elem())
		return "object of " + k, in, "{}" + s
	case reflect.Struct:
		return "object", typ, ""
	case reflect.Pointer:
		return jsonType(typ.Elem())
	default:
		return "integer", nil, ""
	}
}

// fieldComments collects the comments of struct fields as "Type.Field".
func fieldComments(t *testing.T, dir string, into map[string]string) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range st.Fields.List {
				text := strings.Join(strings.Fields(field.Doc.Text()+" "+field.Comment.Text()), " ")
				for _, id := range field.Names {
					into[spec.Name.Name+"."+id.Name] = strings.ReplaceAll(text, "|", "\\|")
				}
			}
			return true
		})
	}
}
