package org.edgebert.benchmarks;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.edgebert.Classification;
import org.edgebert.Engine;
import org.edgebert.ModelFile;
import org.edgebert.TextClassifier;
import org.edgebert.TokenInputs;
import org.edgebert.Tokenizer;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The Kotlin tokenizer beside that of DJL (the `tokenizers` library through JNI), on one thread.
 *
 * <pre>
 * edgebert export CLASSIFIER -o model.tflite       # a classifier with BERT's vocabulary
 * mvn -q install -DskipTests -pl text && mvn -q package -f benchmarks/pom.xml
 * java -Dmodel=model.tflite -Dtokenizer=CLASSIFIER/tokenizer.json \
 *     -cp "benchmarks/target/classes:benchmarks/target/lib/*" org.openjdk.jmh.Main -prof gc
 * </pre>
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(value = 1, jvmArgsAppend = {"-Xmx2g"})
public class TextBenchmark {
    private static final String ENGLISH =
            "please turn the lights off in the kitchen and play some quiet music in the living room "
                    + "until my alarm goes off tomorrow morning at seven, then read me the news";
    private static final String ACCENTS =
            "Pouvez-vous éteindre la lumière dans la cuisine et jouer de la musique très douce à côté, "
                    + "s'il vous plaît, jusqu'à ce que mon réveil sonne à sept heures où j'irai déjeuner";
    private static final String CHINESE =
            "请把厨房里的灯关掉并在客厅播放一些安静的音乐直到明天早上七点我的闹钟响起";

    /** What is tokenized: each has about 30 words. */
    @Param({"english", "accents", "chinese"})
    public String kind;

    private String text;
    private File path;
    private Tokenizer tokenizer;
    private HuggingFaceTokenizer djl;
    private TextClassifier classifier;

    @Setup
    public void open() throws IOException {
        text = Map.of("english", ENGLISH, "accents", ACCENTS, "chinese", CHINESE).get(kind);
        path = new File(System.getProperty("model"));
        ModelFile file = ModelFile.open(path);
        tokenizer = file.getTokenizer();
        djl = HuggingFaceTokenizer.newInstance(Path.of(System.getProperty("tokenizer")));
        classifier = TextClassifier.open(file, NoEngine::new);
        long[] theirs = djl.encode(text).getIds();
        int[] ours = tokenizer.encode(text).getTokenIds();
        if (!java.util.Arrays.equals(theirs, java.util.Arrays.stream(ours).asLongStream().toArray())) {
            throw new IllegalStateException("The two tokenizers give other token ids: " + kind);
        }
    }

    @TearDown
    public void close() {
        classifier.close();
        djl.close();
    }

    @Benchmark
    public Object kotlin() {
        return tokenizer.encode(text);
    }

    @Benchmark
    public Object djl() {
        return djl.encode(text);
    }

    /** Text to answer, with an engine that takes no time: what the library itself costs. */
    @Benchmark
    public Classification classify() {
        return classifier.classify(text);
    }

    /** Manifest, vocabulary and tables. */
    @Benchmark
    public ModelFile openFile() throws IOException {
        return ModelFile.open(path);
    }

    private static final class NoEngine implements Engine {
        private final Map<String, float[]> outputs;

        NoEngine(ModelFile file) {
            outputs = Map.of(file.getOutput(), new float[file.getLabels().size()]);
        }

        @Override
        public Map<String, float[]> run(String signature, TokenInputs inputs) {
            return outputs;
        }

        @Override
        public void close() {}
    }
}
