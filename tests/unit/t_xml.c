/* What is read, what is refused, and that nothing is read beyond the end. */
#include "s3/xml.h"

#include "tests/unit/tap.h"

/* All events of a text, in a line: "<a", "a>text", ".", "!". */
static void trace(struct str text, struct buf *out, struct err *e)
{
    struct xml x AUTO(xml_free) = xml_begin(text);

    buf_clear(out);
    for (;;) {
        enum xml_event ev = xml_next(&x, e);
        struct str name = x.depth > 0 ? x.names[x.depth - 1] : str_of("");

        if (ev == XML_END || ev == XML_BAD) {
            buf_puts(out, ev == XML_END ? "." : "!");
            return;
        }
        if (ev == XML_OPEN)
            buf_printf(out, "<%.*s ", STR_ARG(name));
        else
            buf_printf(out, "%.*s>%s ", STR_ARG(name), x.text.p);
    }
}

static void reads(const char *text, const char *want, const char *name)
{
    struct buf b AUTO(buf_free) = BUF_INIT(4096);
    struct err e = ERR_INIT;

    trace(str_of(text), &b, &e);
    is_str(b.p, want, name);
}

static void refuses(const char *text, const char *name)
{
    struct buf b AUTO(buf_free) = BUF_INIT(4096);
    struct err e = ERR_INIT;

    trace(str_of(text), &b, &e);
    ok(b.len > 0 && b.p[b.len - 1] == '!' && e.kind == ERR_REFUSED,
        "refused: %s", name);
}

static void good(void)
{
    reads("<a/>", "<a a> .", "an element alone");
    reads("\n <?xml version=\"1.0\"?>\n<!-- c --><a>x</a>\n<!-- d -->\n",
        "<a a>x .", "a declaration, comments, blanks before it all");
    reads("\xef\xbb\xbf<a>x</a>", "<a a>x .", "a mark of the byte order");
    reads("<a><b>1</b> <b>2</b></a>", "<a <b b>1 <b b>2 a> .",
        "children and their text");
    reads("<a x='1' y = \"&lt;'\" >t</a >", "<a a>t .", "attributes");
    reads("<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;&#xe9;</a>",
        "<a a><>&\"'AB\xc3\xa9 .", "entities and numbers");
    reads("<a>\"raw\" quotes</a>", "<a a>\"raw\" quotes .", "raw quotes");
    reads("<a>1<!-- no -->2<![CDATA[<3>&]]></a>", "<a a>12<3>& .",
        "a comment and CDATA in a text");
    reads("<n:a xmlns:n=\"u\"/>", "<n:a n:a> .", "a name with a prefix");
}

static void bad(void)
{
    refuses("", "nothing");
    refuses("text", "text alone");
    refuses("<a>", "no end");
    refuses("<a></b>", "another end");
    refuses("<a/><b/>", "two roots");
    refuses("<a/>x", "text behind the root");
    refuses("<!DOCTYPE a><a/>", "a document type");
    refuses("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "an entity's making");
    refuses("<a>&x;</a>", "an unknown entity");
    refuses("<a>&amp</a>", "an entity without an end");
    refuses("<a>&#0;</a>", "the character NUL");
    refuses("<a>&#xD800;</a>", "half a character");
    refuses("<a>&#x110000;</a>", "a character beyond the last");
    refuses("<a>&#99999999999999999999;</a>", "a very large number");
    refuses("<a>&#;</a>", "no number");
    refuses("<a>\x01</a>", "a control character");
    refuses("<a>\xff</a>", "no UTF-8");
    refuses("<a>\xc3</a>", "half of a UTF-8 character");
    refuses("<a x=1/>", "an attribute without quotes");
    refuses("<a x/>", "an attribute without a value");
    refuses("<a x='1'y='2'/>", "attributes that touch");
    refuses("<a x='<'/>", "a tag in an attribute");
    refuses("<a x='1>", "an attribute without an end");
    refuses("<1/>", "a name that is a number");
    refuses("< a/>", "a blank before the name");
    refuses("<a><?php x?></a>", "an instruction");
    refuses("<a><!-- x</a>", "a comment without an end");
    refuses("<a><![CDATA[x</a>", "CDATA without an end");
}

static void limits(void)
{
    struct buf t AUTO(buf_free) = BUF_INIT(1 << 20);

    for (int i = 0; i < XML_DEPTH_MAX; i++)
        buf_puts(&t, "<a>");
    for (int i = 0; i < XML_DEPTH_MAX; i++)
        buf_puts(&t, "</a>");
    {
        struct buf b AUTO(buf_free) = BUF_INIT(4096);
        struct err e = ERR_INIT;

        trace(buf_str(&t), &b, &e);
        ok(str_ends(buf_str(&b), "."), "as deep as it may be");
    }
    buf_clear(&t);
    for (int i = 0; i < 100000; i++)
        buf_puts(&t, "<a>");
    refuses(t.p, "deeper");
    buf_clear(&t);
    buf_puts(&t, "<a>");
    for (int i = 0; i <= XML_TEXT_MAX; i++)
        buf_putc(&t, 'x');
    buf_puts(&t, "</a>");
    refuses(t.p, "a text too long");
    buf_clear(&t);
    buf_putc(&t, '<');
    for (int i = 0; i <= XML_NAME_MAX; i++)
        buf_putc(&t, 'x');
    buf_puts(&t, "/>");
    refuses(t.p, "a name too long");
}

/* Every front of a text, in memory of its own length. */
static void fronts(void)
{
    static const char text[] =
        "<?xml version='1.0'?><a x='1&amp;'>t&#65;<b>2</b><!-- c -->"
        "<![CDATA[x]]></a>";
    bool all = true;

    for (size_t n = 0; n + 1 < sizeof(text); n++) {
        struct buf b AUTO(buf_free) = BUF_INIT(4096);
        char *copy = malloc(n > 0 ? n : 1);
        struct err e = ERR_INIT;

        memcpy(copy, text, n);
        trace((struct str){ copy, n }, &b, &e);
        all = all && b.p[b.len - 1] == '!' && e.kind == ERR_REFUSED;
        free(copy);
    }
    ok(all, "every front of a text is refused");
}

static void places(void)
{
    struct xml x AUTO(xml_free) = xml_begin(str_of("<a><b><c>1</c></b></a>"));
    struct err e = ERR_INIT;

    xml_next(&x, &e);
    ok(xml_at(&x, "a") && !xml_at(&x, "a/b") && !xml_at(&x, ""), "the root");
    xml_next(&x, &e);
    xml_next(&x, &e);
    ok(xml_at(&x, "a/b/c") && !xml_at(&x, "a/b") && !xml_at(&x, "a/b/c/d") &&
            !xml_at(&x, "a/b/"),
        "a place below");
    ok(xml_next(&x, &e) == XML_CLOSE && xml_at(&x, "a/b/c"), "at its end, too");
    ok(xml_next(&x, &e) == XML_CLOSE && xml_at(&x, "a/b"), "and then above it");
}

int main(void)
{
    good();
    bad();
    limits();
    fronts();
    places();
    return done();
}
