// Package fielddoc holds the tables of a document about a JSON format against the structs
// that are written in it, so that neither can change without the other: a row for each
// field with its JSON name, its type and its Go comment. It is for tests of packages of
// this module, and reads their sources.
package fielddoc

import (
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const (
	module = "github.com/stackmeter/stackmeter/"
	begin  = "<!-- generated -->\n"
	end    = "\n<!-- end -->"
)

// Table is the fields of one struct under a title.
type Table struct {
	Title string
	Type  reflect.Type
}

// Check compares the part of a document between the marks `<!-- generated -->` and
// `<!-- end -->` with the tables, or writes it. Root is the way from the test's directory
// to the module's, and document the way from there to the document.
func Check(t *testing.T, root, document string, update bool, tables ...Table) {
	t.Helper()
	d := doc{t: t, root: root, comments: map[string]map[string]string{}}
	for _, table := range tables {
		fmt.Fprintf(&d.out, "\n## %s\n\n| field | JSON type | | meaning |\n|---|---|---|---|\n", table.Title)
		d.rows("", table.Type)
	}
	name := filepath.Join(root, document)
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(raw), begin)
	have, foot, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks of its generated part", document)
	}
	if update {
		if err := os.WriteFile(name, []byte(head+begin+d.out.String()+end+foot), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != d.out.String() {
		t.Errorf("%s differs from the structs: run this test (%s) with -update", document, t.Name())
	}
}

type doc struct {
	t        *testing.T
	root     string
	out      strings.Builder
	comments map[string]map[string]string // of a package, by "Type.Field"
}

// rows writes the fields of a struct; those of one embedded in it are its own, as in
// JSON.
func (d *doc) rows(prefix string, typ reflect.Type) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		if f.Anonymous && tag == "" {
			d.rows(prefix, f.Type)
			continue
		}
		name, opts, _ := strings.Cut(tag, ",")
		if name == "" {
			d.t.Errorf("%s.%s has no JSON name", typ, f.Name)
		}
		absent := ""
		if strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero") {
			absent = "may be absent"
		}
		path := prefix + name
		kind, inner, suffix := jsonType(f.Type)
		fmt.Fprintf(&d.out, "| `%s` | %s | %s | %s |\n", path, kind, absent, d.comment(typ, f.Name))
		if inner != nil {
			d.rows(path+suffix+".", inner)
		}
	}
}

// jsonType is what a Go type is in JSON, and the struct whose fields it has, if any.
func jsonType(typ reflect.Type) (kind string, inner reflect.Type, suffix string) {
	switch {
	case typ.String() == "time.Time":
		return "string, RFC 3339", nil, ""
	case typ.String() == "json.RawMessage":
		return "any", nil, ""
	case typ.Kind() == reflect.Pointer:
		return jsonType(typ.Elem())
	case typ.String() == "netip.Addr" || typ.String() == "netip.Prefix":
		return "string", nil, ""
	case reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Marshaler]()):
		return "object, see " + strings.TrimPrefix(typ.PkgPath(), module) + "." + typ.Name(), nil, ""
	case typ.String() == "host.CPUList":
		return "string, a list such as 0-3,8", nil, ""
	case reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return "string", nil, ""
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
	default:
		return "integer", nil, ""
	}
}

// comment is what stands at a field in the source.
func (d *doc) comment(typ reflect.Type, field string) string {
	pkg := typ.PkgPath()
	if d.comments[pkg] == nil {
		d.comments[pkg] = d.read(filepath.Join(d.root, strings.TrimPrefix(pkg, module)))
	}
	return d.comments[pkg][typ.Name()+"."+field]
}

// read collects the comments of a package's struct fields.
func (d *doc) read(dir string) map[string]string {
	into := map[string]string{}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		d.t.Fatalf("no Go files in %s: %v", dir, err)
	}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			d.t.Fatal(err)
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
	return into
}
