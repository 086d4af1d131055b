package org.edgebert;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The library as Java has it: statics without a Companion, lambdas, defaults, checked exceptions. */
class JavaUseTest {
    @Test
    void badFilesAreCheckedExceptions() {
        assertThrows(ModelException.class, () -> ModelFile.open(new File("none.tflite")));
        assertThrows(ModelException.class, () -> ModelFile.of(ByteBuffer.allocate(3), "short.tflite"));
    }

    @Test
    void enginesMayBeWrittenInJava() throws Exception {
        TokenInputs inputs = new TokenInputs(4);
        inputs.get("token_ids")[0] = 7;
        try (Engine engine = new Echo()) {
            assertArrayEquals(new float[] {7, 0, 0, 0}, engine.run("tokens_4", inputs).get("logits"));
        }
    }

    /** Compiled, not run: what an app in Java writes. */
    @SuppressWarnings("unused")
    private static String answer(File path) throws ModelException {
        ModelFile file = ModelFile.open(path);
        Encoding encoding = file.getTokenizer().encode("a text");
        try (TextClassifier classifier = TextClassifier.open(file, opened -> new Echo())) {
            Classification answer = classifier.classify("a text");
            classifier.classify("a text", "and another");
            List<LabelScore> all = answer.getProbabilities();
            return answer.getLabel() + answer.getScore() + all.size() + encoding.getSize();
        }
    }

    private static final class Echo implements Engine {
        @Override
        public Map<String, float[]> run(String signature, TokenInputs inputs) {
            float[] logits = new float[inputs.getLength()];
            for (int i = 0; i < logits.length; i++) logits[i] = inputs.getTokenIds()[i];
            return Collections.singletonMap("logits", logits);
        }

        @Override
        public void close() {}
    }
}
