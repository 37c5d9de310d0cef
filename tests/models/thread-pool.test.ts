import { expectContract } from '../contract/suite.js'

expectContract('thread-pool')
